// The server's JSON routes, asked as whoever this browser is: by its cookie, by the key of this tab, as a contributor.

import { keepContributor, keepCsrf, withKey } from "./key.js";

export { contributor } from "./key.js";

const ANSWER_MS = 30_000;

// What the server refused, as a sentence to show. `status` 0: nobody answered.
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// The answer to a question, null when it has no content. `body` is a FormData or becomes JSON. Throws Refusal.
export async function ask(method, path, body) {
  const form = body instanceof FormData;
  const headers = { ...withKey(), ...(body && !form ? { "Content-Type": "application/json" } : {}) };
  const answer = await reach(path, { method, headers, body: form || !body ? body : JSON.stringify(body) });
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  throw new Refusal(answer.status, said.error?.message ?? `The server answered HTTP ${answer.status}.`);
}

// The bytes at an address the server gave, such as a clip's audio. Throws Refusal.
export async function bytesOf(path) {
  const answer = await reach(path, { headers: withKey() });
  if (!answer.ok) throw new Refusal(answer.status, `The audio cannot be had: HTTP ${answer.status}.`);
  return answer.arrayBuffer();
}

// Who this browser is to the server: {person, name, scopes, open, csrf}.
export async function whoAmI() {
  const me = await ask("GET", "v1/me");
  keepCsrf(me.csrf);
  return me;
}

// Somebody new, known from now on in this browser by a token.
export async function becomeSomebody() {
  const { token } = await ask("POST", "v1/people");
  keepContributor(token);
}

async function reach(path, request) {
  try {
    return await fetch(path, { ...request, signal: AbortSignal.timeout(ANSWER_MS) });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Refusal(0, late ? "The server took too long to answer." : "The server cannot be reached: is it still running?");
  }
}
