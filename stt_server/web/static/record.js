// The recorder: one sentence after the other.
//
//     ready ── press ──► starting ──► recording ── press ──► checking ──► checked ── keep ──► keeping ──► ready
//       ▲                                                                  └─ redo ─► starting

import { ask } from "./api.js";
import { $, alarm, element } from "./element.js";
import { enter, known } from "./entry.js";
import { Meter } from "./meter.js";
import { following, left, leftInAll, manner } from "./script.js";
import { Take } from "./take.js";

const meter = new Meter($("meter"));
const playback = new Audio();

let dataset = null; // as the server tells it: {name, script, said, …}
let place = null; // of the sentence in the script
let take = null; // while it is recorded
let recording = null; // the file, when it is

const HINTS = {
  loading: "",
  ready: "Press the microphone, speak, press again.",
  starting: "Opening the microphone …",
  recording: "Recording",
  checking: "Listening to it …",
  checked: "",
  keeping: "Keeping it …",
  done: "",
  failed: "",
};

const LABELS = { ready: "Record", recording: "Stop", checked: "Record again" };

function show(state) {
  document.body.dataset.state = state;
  $("status").textContent = HINTS[state];
  $("mic-label").textContent = LABELS[state] ?? "Record";
  $("mic").dataset.live = state === "recording";
  $("mic").setAttribute("aria-disabled", String(!(state in LABELS)));
  $("check").hidden = !["checked", "keeping"].includes(state);
  $("stage").hidden = !dataset || state === "done";
  $("done").hidden = state !== "done";
  $("dataset").disabled = ["starting", "recording", "checking", "keeping"].includes(state); // a take belongs to one
  for (const button of [$("keep"), $("redo"), $("hear")]) button.disabled = state === "keeping";
}

const state = () => document.body.dataset.state;

// ------------------------------------------------------------------------------------------------------ what to say

async function list() {
  const { datasets } = await ask("GET", "v1/datasets");
  $("dataset").replaceChildren(...datasets.map(({ name }) => element("option", { value: name }, name)));
  $("none").hidden = datasets.length > 0;
  $("choice").hidden = !datasets.length;
  const wanted = new URLSearchParams(location.search).get("dataset");
  if (datasets.some(({ name }) => name === wanted)) $("dataset").value = wanted;
  if (datasets.length) await choose($("dataset").value);
  else show("failed");
}

async function choose(name) {
  forget();
  dataset = await ask("GET", `v1/datasets/${encodeURIComponent(name)}`);
  dataset.script ??= [];
  dataset.said ??= {};
  turn(following(dataset.script, dataset.said, -1));
}

function turn(to) {
  place = to;
  forget();
  draw();
  const said = dataset.script.length && place === null;
  show(said ? "done" : "ready");
  if (said) $("more").focus();
}

function sentence() {
  return place === null ? null : dataset.script[place][0];
}

function draw() {
  const line = place === null ? null : dataset.script[place];
  const times = line ? (dataset.said[line[0]] ?? 0) : 0;
  $("sentence").textContent = line ? line[0] : "Say anything you would say to your assistant.";
  $("manner").textContent = line ? manner(times) : "";
  $("take").textContent = line && line[1] > 1 ? `Take ${times + 1} of ${line[1]}` : "";
  const open = leftInAll(dataset.script, dataset.said);
  const all = dataset.script.reduce((sum, [, each]) => sum + each, 0);
  $("left").textContent = dataset.script.length ? `${open} of ${all} left` : "";
  $("progress").hidden = !dataset.script.length;
  $("progress").max = Math.max(1, all);
  $("progress").value = all - open;
  drawScript();
}

function drawScript() {
  $("script").hidden = dataset.script.length < 2;
  const rows = dataset.script.map((line, i) => {
    const open = left(line, dataset.said);
    const button = element("button", { type: "button", "data-place": i, ...(i === place ? { "aria-current": "true" } : {}) }, line[0]);
    return element("li", {}, button, element("span", {}, open ? `${open} left` : "done"));
  });
  $("sentences").replaceChildren(...rows);
}

// -------------------------------------------------------------------------------------------------------- recording

async function press() {
  if (state() === "recording") return stop();
  if (state() !== "ready" && state() !== "checked") return;
  forget();
  show("starting");
  alarm(null);
  try {
    take = await Take.start({ onlevel: level, onfull: stop });
    show("recording");
  } catch (error) {
    show("ready");
    alarm(error.message);
  }
}

function level(loudness) {
  if (state() !== "recording") return; // a frame that was still on its way
  $("mic").style.setProperty("--level", meter.push(loudness).toFixed(2));
  $("elapsed").textContent = `${(take?.seconds ?? 0).toFixed(1)} s`;
}

async function stop() {
  if (state() !== "recording") return;
  show("checking");
  meter.rest();
  $("elapsed").textContent = "";
  recording = await take.stop();
  take = null;
  playback.src = URL.createObjectURL(recording);
  try {
    found(await ask("POST", "v1/clips?check=only", form()));
  } catch (error) {
    forget();
    show("ready");
    alarm(error.message);
  }
}

// What the server thinks of it, before anything is kept.
function found({ hypothesis, check }) {
  $("verdict").textContent = check.ok ? "Sounds good" : "Better once more";
  $("check").dataset.ok = check.ok;
  $("problems").replaceChildren(...check.problems.map(({ say }) => element("li", {}, say)));
  $("heard").textContent = hypothesis ? `Heard: “${hypothesis}”` : "Nothing was heard.";
  $("keep").classList.toggle("main", check.ok);
  $("redo").classList.toggle("main", !check.ok);
  show("checked");
  $(check.ok ? "keep" : "redo").focus();
}

async function keep() {
  if (state() !== "checked") return;
  show("keeping");
  try {
    await ask("POST", "v1/clips", form());
  } catch (error) {
    show("checked");
    return alarm(error.message);
  }
  const said = sentence();
  if (said !== null) dataset.said[said] = (dataset.said[said] ?? 0) + 1;
  $("kept").textContent = `${++kept} kept`;
  turn(said === null ? null : following(dataset.script, dataset.said, place));
  if (state() === "ready") $("mic").focus();
}

let kept = 0;

function form() {
  const sent = new FormData();
  sent.append("dataset", dataset.name);
  if (sentence() !== null) sent.append("script", sentence());
  sent.append("device", "browser");
  sent.append("audio", recording, "take.wav"); // last: a server that reads on the way knows what it is for
  return sent;
}

function forget() {
  playback.pause();
  if (playback.src) URL.revokeObjectURL(playback.src);
  playback.removeAttribute("src");
  recording = null;
  alarm(null);
}

function hear() {
  if (!recording) return;
  if (!playback.paused) return playback.pause();
  playback.currentTime = 0;
  playback.play().catch((error) => alarm(`It cannot be played: ${error.message}`));
}

// --------------------------------------------------------------------------------------------------- pointer and keys

function pass() {
  if (!dataset?.script.length || !["ready", "checked"].includes(state())) return;
  turn(following(dataset.script, dataset.said, place));
}

const KEYS = { " ": press, Enter: keep, r: press, p: hear, n: pass };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches("input, select, textarea")) return;
  if (event.target.matches("button, a, summary") && [" ", "Enter"].includes(event.key)) return;
  const act = KEYS[event.key.length > 1 ? event.key : event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
});

$("dataset").addEventListener("change", ({ target }) => choose(target.value).catch((error) => alarm(error.message)));
$("sentences").addEventListener("click", ({ target }) => {
  const chosen = target.closest("[data-place]");
  if (!chosen || !["ready", "checked"].includes(state())) return;
  turn(Number(chosen.dataset.place));
  $("mic").focus();
});
$("mic").addEventListener("click", press);
$("keep").addEventListener("click", keep);
$("redo").addEventListener("click", press);
$("hear").addEventListener("click", hear);
$("pass").addEventListener("click", pass);
playback.addEventListener("play", () => ($("hear-label").textContent = "Stop"));
for (const kind of ["pause", "ended"]) playback.addEventListener(kind, () => ($("hear-label").textContent = "Hear it"));

async function begin() {
  if (!(await enter("contribute"))) return;
  await known(); // else nobody is made here: that is for the consent
  const { consent, collecting } = await ask("GET", "v1/consent");
  $("unasked").hidden = Boolean(consent) || !collecting;
  $("closed").hidden = collecting;
  if (!consent || !collecting) return show("failed");
  await list();
}

begin().catch((error) => {
  show("failed");
  alarm(error.message);
});
