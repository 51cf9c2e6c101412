// A recording, posted as a whole; any format the server can read.

import { withKey } from "./key.js";

const ANSWER_MS = 300_000;

// The text of a file. Throws an Error with a sentence to show.
export async function transcribe(file) {
  const form = new FormData();
  form.append("file", file);
  form.append("response_format", "json");
  let answer;
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    answer = await fetch("v1/audio/transcriptions", { method: "POST", headers: withKey(), body: form, signal });
  } catch (error) {
    const late = error.name === "TimeoutError";
    const sentence = late ? "took the server too long" : "did not reach the server: is it still running?";
    throw new Error(`${file.name} ${sentence}`, { cause: error });
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said.text;
  throw new Error(`${file.name}: ${said.error?.message ?? `the server answered HTTP ${answer.status}`}`);
}
