// The page: one microphone, one stream, one list of what was said.
//
//     idle ── press ──► starting ── ready ──► live ── press ──► finishing ── finished ──► idle
//                           └──────────── whatever goes wrong: an alert ────────────────────┘

import { ask, whoAmI } from "./api.js";
import { $, alarm } from "./element.js";
import { known } from "./entry.js";
import { Door } from "./key.js";
import { Latency } from "./latency.js";
import { Meter } from "./meter.js";
import { Microphone } from "./microphone.js";
import { Stream } from "./stream.js";
import { Transcript } from "./transcript.js";
import { transcribe } from "./upload.js";

const door = new Door({ form: $("door"), input: $("key"), alert: $("key-alert") }, () => {
  alarm(null);
  $("status").textContent = "Key accepted";
  $("mic").focus();
});
const meter = new Meter($("meter"));
const transcript = new Transcript({
  scroller: document.querySelector("main"),
  welcome: $("welcome"),
  finals: $("finals"),
  partial: $("partial"),
  tools: $("tools"),
});

let current = null; // the one session of microphone and stream, while there is one

const LABELS = {
  idle: ["Start the microphone", "Ready"],
  starting: ["Cancel", "Opening the microphone …"],
  live: ["Stop the microphone", "Listening"],
  finishing: ["Finishing", "Finishing …"],
};

function show(state) {
  document.body.dataset.state = state;
  const [label, status] = LABELS[state];
  $("mic-label").textContent = label;
  $("status").textContent = status;
}

class Session {
  constructor() {
    this.latency = new Latency();
    this.heard = false;
    this.over = false;
  }

  async start() {
    show("starting");
    alarm(null);
    try {
      const lost = () => this.stop();
      this.microphone = await Microphone.open((pcm, level, last) => this.frame(pcm, level, last), lost);
    } catch (error) {
      return this.end(error.message);
    }
    if (this.over) return this.microphone.stop();
    this.stream = new Stream(this.microphone.rate, {
      onmessage: (message) => this[message.type]?.(message),
      onend: (sentence) => this.end(sentence),
    });
  }

  // Press again: the device is free at once, the last words still come.
  stop() {
    if (!this.stream) return this.end(null);
    if (this.stopping) return;
    this.stopping = true;
    show("finishing");
    meter.rest();
    this.microphone.stop();
  }

  end(sentence) {
    if (this.over) return;
    this.over = true;
    this.microphone?.stop();
    if (!sentence) transcript.showPartial({ text: "", stable: 0 }); // else it is all there is of the last words
    meter.rest();
    current = null;
    show("idle");
    alarm(sentence);
    if (sentence) door.check(); // the key may be what is wrong
    if (!sentence && this.stream && !this.heard) $("status").textContent = "Nothing was heard.";
  }

  frame(pcm, level, last) {
    if (this.over || !this.stream) return;
    this.stream.send(pcm);
    this.latency.captured(this.stream.sent);
    if (!this.stopping) $("mic").style.setProperty("--level", meter.push(level).toFixed(2));
    if (last) this.stream.finish();
  }

  // Messages of the server, by their type.

  ready(message) {
    showModel(message);
    if (!this.stopping) show("live");
  }

  speech_started() {
    if (!this.stopping) $("status").textContent = "Hearing you";
  }

  speech_stopped() {
    if (!this.stopping) $("status").textContent = LABELS.live[1];
  }

  partial(message) {
    this.latency.partial(message.text);
    transcript.showPartial(message);
  }

  final(message) {
    const late = this.latency.final(message);
    this.heard ||= Boolean(message.text);
    transcript.addFinal(message, late.final === null ? "" : milliseconds(late.final));
    if (late.final !== null) $("final-latency").textContent = milliseconds(late.final);
    if (late.word !== null) $("partial-lag").textContent = milliseconds(late.word);
  }

  behind({ lag_ms }) {
    $("status").textContent = `The server is ${milliseconds(lag_ms)} behind`;
  }
}

function showModel({ model, language }) {
  $("model").textContent = `${model} · ${language}`;
  $("model").hidden = false;
}

door.check();

// What runs here, before the first word; a server without an answer says it when a stream opens.
fetch("readyz")
  .then((answer) => answer.json())
  .then(showModel)
  .catch(() => {});

// Whoever agreed to it sees here, too, that what is said is kept.
async function showKept() {
  const me = await whoAmI();
  const may = me.scopes.includes("contribute") || me.scopes.includes("admin");
  if (!may || !((await known()) || me.csrf)) return;
  const { consent, collecting } = await ask("GET", "v1/consent");
  $("kept").hidden = !(consent && collecting);
}

showKept().catch(() => {});

function milliseconds(value) {
  return value < 995 ? `${Math.round(value / 10) * 10} ms` : `${(value / 1000).toFixed(1)} s`;
}

$("mic").addEventListener("click", () => {
  if (current) return current.stop();
  current = new Session();
  current.start();
});

$("clear").addEventListener("click", () => {
  transcript.clear();
  $("mic").focus();
});

$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(transcript.text);
    $("status").textContent = "Copied";
  } catch {
    alarm("The browser does not let this page copy: select the text instead.");
  }
});

// Files, chosen or dropped, one after the other.

let reading = Promise.resolve();

function take(files) {
  for (const file of files) reading = reading.then(() => read(file));
}

async function read(file) {
  const before = $("status").textContent;
  $("status").textContent = `Reading ${file.name} …`;
  alarm(null);
  try {
    transcript.addFile(file.name, await transcribe(file));
  } catch (error) {
    alarm(error.message);
    door.check();
  }
  $("status").textContent = current ? before : LABELS.idle[1];
}

$("file").addEventListener("change", ({ target }) => {
  take([...target.files]);
  target.value = ""; // so that the same file can be chosen again
});

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  $("drop").hidden = false;
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").hidden = true;
});

document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  $("drop").hidden = true;
  take([...event.dataTransfer.files]);
});
