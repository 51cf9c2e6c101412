// What `@deepgram/sdk` makes of a server: `node deepgram_client.cjs URL PCM WAV` prints one JSON object.
const { readFileSync } = require("node:fs");
const { DeepgramClient } = require("@deepgram/sdk");

const [url, pcm, wav] = process.argv.slice(2);
const sockets = url.replace("http", "ws");
const client = new DeepgramClient({
  apiKey: "x",
  environment: { base: url, production: sockets, agent: sockets, agentRest: url },
});

async function live() {
  const stream = await client.listen.v1.connect({
    model: "nova-3", encoding: "linear16", sample_rate: 16000, interim_results: "true", utterance_end_ms: 1000,
    vad_events: "true", reconnectAttempts: 0,
  });
  const told = [];
  const over = new Promise((done, fail) => {
    stream.on("message", (message) => {
      told.push(message);
      if (message.type === "Metadata") done();
    });
    stream.on("error", fail);
  });
  stream.connect();
  await stream.waitForOpen();
  const audio = readFileSync(pcm);
  for (let at = 0; at < audio.length; at += 3200) stream.sendMedia(audio.subarray(at, at + 3200));
  stream.sendKeepAlive({ type: "KeepAlive" });
  stream.sendCloseStream({ type: "CloseStream" });
  await over;
  stream.close();
  const finals = told.filter((each) => each.type === "Results" && each.is_final);
  const text = finals.map((each) => each.channel.alternatives[0].transcript).filter(Boolean).join(" ");
  return { text, types: [...new Set(told.map((each) => each.type))].sort() };
}

async function recorded() {
  const answer = await client.listen.v1.media.transcribeFile(readFileSync(wav), { model: "nova-3", utterances: true });
  const [channel] = answer.results.channels;
  return { text: channel.alternatives[0].transcript, utterances: answer.results.utterances.map((each) => each.transcript) };
}

(async () => {
  process.stdout.write(JSON.stringify({ live: await live(), recorded: await recorded() }));
  process.exit(0);
})().catch((error) => {
  process.stderr.write(String(error && error.stack || error));
  process.exit(1);
});
