// The words below the waveform, each at its time: a press plays it. One stop of the tab key; arrows walk over them.

import { element } from "./element.js";
import { trust } from "./marks.js";

export class WordRow {
  // onchoose(start_s, end_s)
  constructor(row, onchoose) {
    this.row = row;
    row.addEventListener("click", ({ target }) => this.choose(target.closest("button"), onchoose));
    row.addEventListener("keydown", (event) => this.walk(event));
  }

  // `words`: [[word, start_s, end_s, confidence]]; null hides the row.
  show(words, duration) {
    this.words = words ?? [];
    this.row.hidden = !this.words.length;
    this.row.replaceChildren(...this.words.map((word, i) => this.button(word, i, duration)));
  }

  // Mark the word that sounds at this moment.
  at(time) {
    [...this.row.children].forEach((button, i) => {
      const [, start, end] = this.words[i];
      button.toggleAttribute("data-now", time >= start && time < end);
    });
  }

  button([word, start, end, confidence], i, duration) {
    const told = `${word}, ${start.toFixed(2)} to ${end.toFixed(2)} seconds, ${Math.round(confidence * 100)} % sure`;
    const attributes = { type: "button", "aria-label": told, title: told, "data-trust": trust(confidence), tabindex: i ? -1 : 0 };
    const made = element("button", attributes, word);
    const next = this.words[i + 1]?.[1] ?? duration;
    made.style.left = `${(start / duration) * 100}%`;
    made.style.maxWidth = `${(Math.max(end, next) - start) / duration * 100}%`;
    made.style.minWidth = `${((end - start) / duration) * 100}%`;
    return made;
  }

  choose(button, onchoose) {
    if (!button) return;
    const [, start, end] = this.words[[...this.row.children].indexOf(button)];
    onchoose(start, end);
  }

  walk(event) {
    const steps = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" };
    const next = event.target[steps[event.key]];
    if (!next) return;
    event.preventDefault();
    for (const button of this.row.children) button.tabIndex = button === next ? 0 : -1;
    next.focus();
  }
}
