// The tagger: one clip after the other.
//
//     loading ── plays by itself ──► listening ── heard to its end ──► answering ── a verdict ──► sending ──► loading
//        │ nothing left ► done           └─ the browser wants a press first: stopped    └─ the lease ended: lost

import { ask, bytesOf } from "./api.js";
import { $, alarm } from "./element.js";
import { enterAsPerson } from "./entry.js";
import { Lease } from "./lease.js";
import { Player } from "./player.js";
import { Sheet } from "./sheet.js";
import { Waveform } from "./waveform.js";
import { WordRow } from "./wordrow.js";

const SPEEDS = [0.75, 1, 1.25, 1.5];
const KEYS_OFF = "earloop-tag-keys-off";

const waveform = new Waveform($("waveform"));
const words = new WordRow($("words"), (start, end) => play(start, end));
const sheet = new Sheet({ field: $("text"), marks: $("marks") });
const player = new Player({ onmove: move, onheard: heard });
const verdicts = [...document.querySelectorAll("[data-verdict]")];

let lease = null;

const HINTS = {
  loading: "Fetching a clip …",
  stopped: "Press Play to begin; your browser wants that once.",
  listening: "Listen to the end, then answer.",
  answering: "",
  sending: "Sending your answer …",
};

function show(state) {
  document.body.dataset.state = state;
  $("clip").hidden = !(state in HINTS) || !lease;
  $("done").hidden = state !== "done";
  $("lost").hidden = state !== "lost";
  $("hint").textContent = HINTS[state] ?? "";
  delete $("hint").dataset.urgent;
  update();
}

const state = () => document.body.dataset.state;

// ------------------------------------------------------------------------------------------------------ a clip's way

async function next() {
  player.clear();
  lease?.end();
  lease = null;
  show("loading");
  alarm(null);
  try {
    lease = await Lease.take(lost);
    if (!lease) return finish();
    await open(lease.clip);
  } catch (error) {
    show(lease ? "listening" : "failed");
    alarm(error.message);
  }
  progress();
}

async function open(clip) {
  sheet.show(clip.hypothesis, clip.words);
  $("text").lang = clip.language ?? "";
  $("blind").hidden = clip.hypothesis !== null;
  words.show(null);
  waveform.clear();
  show("loading");
  $("clip").focus({ preventScroll: true }); // no button of the last clip keeps the focus, nor does a phone's keyboard stay
  const samples = await player.load(await bytesOf(clip.audio));
  if (lease?.clip !== clip) return;
  waveform.show(samples, player.duration, clip.words);
  words.show(clip.words, player.duration);
  move();
  await play(0);
}

async function play(from = 0, until) {
  if (!player.duration) return;
  alarm(null);
  const allowed = await player.play(from, until);
  if (!player.complete && ["loading", "stopped", "listening"].includes(state())) show(allowed ? "listening" : "stopped");
}

function heard() {
  if (["listening", "stopped", "loading"].includes(state())) show("answering");
}

function move() {
  waveform.at(player.time);
  words.at(player.playing ? player.time : -1);
  $("clock").textContent = `${player.time.toFixed(1)} / ${player.duration.toFixed(1)} s`;
  $("play-label").textContent = player.playing ? "Pause" : player.complete ? "Play again" : "Play";
  document.body.toggleAttribute("data-playing", player.playing);
}

function lost() {
  player.clear();
  lease = null;
  show("lost");
  $("again").focus();
}

function finish() {
  show("done");
  $("look").focus();
}

// ----------------------------------------------------------------------------------------------------------- answers

// What an answer must be now: the field says whether it is right as heard or corrected.
function fits(verdict) {
  if (verdict === "right") return !sheet.changed && Boolean(sheet.text);
  if (verdict === "corrected") return sheet.changed && Boolean(sheet.text);
  return true;
}

async function answer(verdict) {
  if (state() !== "answering") return remind();
  if (!fits(verdict)) return verdict === "corrected" ? edit() : remind("The text was changed: send it as a correction.");
  show("sending");
  player.pause();
  try {
    const told = await lease.vote(verdict, verdict === "corrected" ? sheet.text : undefined);
    if (!told) return;
    say(`${SAID[verdict]}. ${told.today} today.`);
  } catch (error) {
    show("answering");
    return alarm(error.message);
  }
  await next();
}

const SAID = {
  right: "Kept as heard",
  corrected: "Kept as you wrote it",
  unclear: "Marked unclear",
  noise: "Marked as noise",
  private: "Set aside as private",
  other_language: "Marked as another language",
};

function edit() {
  $("text").focus();
  $("text").setSelectionRange($("text").value.length, $("text").value.length);
}

// Why nothing was sent.
function remind(why) {
  if (state() === "loading" || state() === "sending") return;
  $("hint").textContent = why ?? HINTS[state()];
  $("hint").dataset.urgent = "";
}

async function skip() {
  if (!lease || state() === "sending") return;
  show("sending");
  try {
    if (!(await lease.skip())) return;
    say("Skipped; it will not come back to you.");
  } catch (error) {
    show(player.complete ? "answering" : "listening");
    return alarm(error.message);
  }
  await next();
}

async function undo() {
  if (state() === "sending" || state() === "loading") return;
  try {
    await ask("POST", "v1/tagging/undo");
  } catch (error) {
    return alarm(error.message);
  }
  say("Your last answer is taken back: here is its clip again.");
  await next(); // the clip that was open comes after it
}

// ------------------------------------------------------------------------------------------------------ what is shown

function update() {
  for (const button of verdicts) {
    const { verdict } = button.dataset;
    const may = state() === "answering" && (fits(verdict) || verdict === "corrected");
    button.setAttribute("aria-disabled", String(!may));
    button.classList.toggle("main", fits(verdict) && ["right", "corrected"].includes(verdict));
  }
}

async function progress() {
  const told = await ask("GET", "v1/tagging/stats").catch(() => null);
  if (!told) return;
  $("today").textContent = told.today;
  $("left").textContent = lease?.left ?? told.waiting;
  $("decided").max = Math.max(1, told.waiting + told.decided);
  $("decided").value = told.decided;
  $("validated").textContent = told.validated_h < 1 ? `${Math.round(told.validated_h * 60)} min` : `${told.validated_h.toFixed(1)} h`;
}

function say(sentence) {
  $("said").textContent = sentence;
}

function pace(step) {
  const place = SPEEDS.indexOf(player.speed) + step;
  if (place in SPEEDS) choose(SPEEDS[place]);
}

function choose(speed) {
  player.rate = speed;
  document.querySelector(`[name="speed"][value="${speed}"]`).checked = true;
}

// -------------------------------------------------------------------------------------------------- pointer and keys

const toggle = () => (player.playing ? player.pause() : play(player.complete || player.time >= player.duration ? 0 : player.time));

const KEYS = {
  " ": toggle,
  r: () => play(0),
  y: () => answer("right"),
  c: () => answer("corrected"),
  u: () => answer("unclear"),
  n: () => answer("noise"),
  p: () => answer("private"),
  l: () => answer("other_language"),
  s: skip,
  z: undo,
  "[": () => pace(-1),
  "]": () => pace(1),
  Enter: send,
};

// Right as heard, or corrected: what the field says.
function send() {
  answer(sheet.changed ? "corrected" : "right");
}

document.addEventListener("keydown", (event) => {
  lease?.used();
  if (event.isComposing || event.repeat) return;
  if (event.target === $("text")) return inField(event);
  if (event.ctrlKey || event.metaKey || event.altKey || !$("keys").checked) return;
  if (event.target.matches("button, a, input, summary") && [" ", "Enter"].includes(event.key)) return;
  const act = KEYS[event.key.length > 1 ? event.key : event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
});

// In the field letters are letters.
function inField(event) {
  const act = { Enter: send, Escape: () => $("clip").focus() }[event.key] ?? (event.ctrlKey && event.key === " " ? toggle : null);
  if (!act) return;
  event.preventDefault();
  act();
}

document.addEventListener("pointerdown", () => lease?.used());
for (const button of verdicts) button.addEventListener("click", () => answer(button.dataset.verdict));
for (const choice of document.querySelectorAll('[name="speed"]')) choice.addEventListener("change", () => choose(Number(choice.value)));
$("text").addEventListener("input", update);
$("play").addEventListener("click", toggle);
$("waveform").addEventListener("pointerdown", (event) => play(waveform.moment(event)));
$("skip").addEventListener("click", skip);
$("undo").addEventListener("click", undo);
$("again").addEventListener("click", next);
$("look").addEventListener("click", next);
$("keys").checked = !localStorage.getItem(KEYS_OFF);
$("keys").addEventListener("change", ({ target }) => (target.checked ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "1")));

try {
  if (await enterAsPerson("tag")) await next();
} catch (error) {
  show("failed");
  alarm(error.message);
}
