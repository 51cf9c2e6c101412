// Clips to look through: filtered, with their audio, what was heard and agreed on, the votes, and what a curator does.

import { ask } from "./api.js";
import { controls } from "./curate.js";
import { $, alarm, element } from "./element.js";
import { trust } from "./marks.js";

const AT_ONCE = 25;
const TYPING_MS = 300;

const STATUS = { waiting: "waiting", decided: "decided", parked: "in dispute", quarantined: "set aside" };
const VERDICT = { right: "right", corrected: "corrected", unclear: "unclear", noise: "noise", private: "private", other_language: "other language" };

export class Clips {
  constructor() {
    this.asked = 0; // so that a late answer to an old question is not shown
    for (const id of ["status-is", "origin-is"]) $(id).addEventListener("change", () => this.show());
    $("text-has").addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.show(), TYPING_MS);
    });
    $("filter").addEventListener("submit", (event) => {
      event.preventDefault();
      this.show();
    });
    $("more").addEventListener("click", () => this.fetch(this.next));
  }

  // Of this dataset, or of all for "".
  async show(dataset = this.dataset) {
    this.dataset = dataset;
    await this.fetch(null);
  }

  async fetch(after) {
    clearTimeout(this.timer);
    const turn = ++this.asked;
    try {
      const { clips, next } = await ask("GET", `v1/clips?${this.question(after)}`);
      if (turn !== this.asked) return;
      this.next = next;
      const before = after ? [...$("clips").children] : [];
      $("clips").replaceChildren(...before, ...clips.map(row));
      $("more").hidden = !next;
      $("found").textContent = $("clips").children.length ? "" : "No clip is like that.";
      if (after) $("clips").children[before.length]?.querySelector("audio").focus();
    } catch (error) {
      alarm(error.message);
    }
  }

  question(after) {
    const wanted = { dataset: this.dataset, status: $("status-is").value, origin: $("origin-is").value, text: $("text-has").value.trim(), after };
    const given = Object.entries(wanted).filter(([, value]) => value);
    return new URLSearchParams([...given, ["limit", AT_ONCE]]);
  }
}

function row(clip) {
  const words = clip.text ?? clip.hypothesis;
  const audio = element("audio", { controls: "", preload: "none", src: clip.audio, "aria-label": words || "a clip without words" });
  const secret = clip.status === "quarantined"; // nobody is to hear it
  const status = clip.status === "decided" ? VERDICT[clip.verdict] : STATUS[clip.status];
  const gold = clip.gold ? [element("span", { class: "pill" }, "gold")] : [];
  const made = element(
    "li",
    { class: "clip" },
    element("div", { class: "line" }, element("p", { class: "text" }, words || "no words"), ...gold, element("span", { class: "pill", "data-status": clip.status }, status)),
    ...(clip.text !== null && clip.text !== clip.hypothesis ? [element("p", { class: "hint" }, `Heard: “${clip.hypothesis}”`)] : []),
    ...(secret ? [] : [audio]),
    facts(clip),
    ...(clip.votes.length ? [votes(clip.votes)] : []),
    controls(clip, (changed) => replace(made, row(changed))),
  );
  return made;
}

// A clip as it stands now, in the place of itself; who acted on it by keyboard goes on from there.
function replace(before, after) {
  before.replaceWith(after);
  after.querySelector(":scope > :last-child :is(summary, button)").focus();
}

function facts(clip) {
  const sure = element("span", { "data-trust": trust(clip.confidence), class: "sure" }, `${Math.round(clip.confidence * 100)} % sure`);
  const when = element("time", { datetime: clip.created }, new Date(clip.created).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
  return element("p", { class: "facts" }, when, ...[`${clip.duration_s.toFixed(1)} s`, sure, clip.origin, clip.model].map((fact) => element("span", {}, fact)));
}

function votes(given) {
  const lines = given.map(({ verdict, text, expert }) => {
    const what = element("strong", {}, VERDICT[verdict] + (expert ? " (expert)" : ""));
    return element("li", {}, what, ...(text ? [` “${text}”`] : []));
  });
  const summary = element("summary", {}, given.length === 1 ? "1 vote" : `${given.length} votes`);
  return element("details", {}, summary, element("ul", {}, ...lines));
}
