// What was said: finals as a list, each with its words and their times, and the partial below it in grey.

import { element } from "./element.js";

export class Transcript {
  constructor({ scroller, welcome, finals, partial, tools }) {
    Object.assign(this, { scroller, welcome, finals, partial, tools });
    finals.addEventListener("keydown", walk);
    finals.addEventListener("focusin", ({ target }) => target.matches(".word") && rove(target));
    for (const kind of ["focusin", "pointerover"]) finals.addEventListener(kind, ({ target }) => lean(target));
  }

  get text() {
    return [...this.finals.querySelectorAll(".said")].map((said) => said.textContent).join("\n");
  }

  showPartial({ text, stable }) {
    this.keepingEnd(() => {
      const settled = element("span", { class: "stable" }, text.slice(0, stable));
      this.partial.replaceChildren(settled, text.slice(stable));
      this.partial.hidden = !text;
      this.welcome.hidden ||= Boolean(text);
    });
  }

  // A final of the microphone. `note` stands beside its time, such as its latency.
  addFinal({ text, words, start }, note = "") {
    this.showPartial({ text: "", stable: 0 });
    if (!text) return;
    const said = words.length ? words.flatMap((word, i) => [i ? " " : "", wordElement(word, i)]) : [text];
    this.add(clock(start), note, said, words);
  }

  // The text of a file, which has no times.
  addFile(name, text) {
    this.add(name, "", text ? [text] : [element("em", {}, "Nothing was heard in it.")], []);
  }

  clear() {
    this.finals.replaceChildren();
    this.showPartial({ text: "", stable: 0 });
    this.welcome.hidden = false;
    this.tools.hidden = true;
  }

  add(origin, note, said, words) {
    this.keepingEnd(() => {
      const stamp = element("p", { class: "stamp" }, element("span", {}, origin), element("span", { class: "note" }, note));
      const body = [element("p", { class: "said" }, ...said), ...(words.length ? [wordTable(words)] : [])];
      this.finals.append(element("li", { class: "utterance" }, stamp, element("div", {}, ...body)));
      this.welcome.hidden = true;
      this.tools.hidden = false;
    });
  }

  // Follow the newest text, unless the reader has scrolled up.
  keepingEnd(change) {
    const { scrollTop, clientHeight, scrollHeight } = this.scroller;
    const atEnd = scrollTop + clientHeight > scrollHeight - 80;
    change();
    if (atEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}

function wordElement(word, i) {
  const times = `${seconds(word.start)} – ${seconds(word.end)} s · ${percent(word.confidence)}`;
  return element("span", { class: "word", tabindex: i ? -1 : 0, "data-trust": trust(word), "data-times": times }, word.word);
}

function wordTable(words) {
  const head = element("tr", {}, ...["word", "from", "to", "confidence"].map((name) => element("th", { scope: "col" }, name)));
  const rows = words.map((word) => {
    const cells = [word.word, `${seconds(word.start)} s`, `${seconds(word.end)} s`, percent(word.confidence)];
    return element("tr", { "data-trust": trust(word) }, ...cells.map((cell) => element("td", {}, cell)));
  });
  const summary = element("summary", {}, words.length === 1 ? "1 word" : `${words.length} words`);
  return element("details", {}, summary, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
}

// Left and right walk over the words of an utterance, which is one stop of the tab key.
function walk(event) {
  const steps = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" };
  const next = event.target.matches(".word") && event.target[steps[event.key]];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

function rove(word) {
  for (const other of word.parentElement.querySelectorAll(".word")) other.tabIndex = other === word ? 0 : -1;
}

// A word's times open towards the middle, so that a narrow page holds them.
function lean(word) {
  if (!word.matches(".word")) return;
  word.dataset.side = word.offsetLeft > word.parentElement.offsetLeft + word.parentElement.clientWidth / 2 ? "right" : "left";
}

function trust({ confidence }) {
  return confidence >= 0.85 ? "high" : confidence >= 0.6 ? "fair" : "low";
}

function clock(total) {
  const minutes = Math.floor(total / 60);
  return `${minutes}:${(total - minutes * 60).toFixed(1).padStart(4, "0")}`;
}

function seconds(value) {
  return value.toFixed(2);
}

function percent(value) {
  return `${Math.round(value * 100)} %`;
}
