// A text that is edited with its doubtful words marked: a text field over a copy of its text that has only the marks.

import { element } from "./element.js";
import { marked } from "./marks.js";

export class Sheet {
  constructor({ field, marks }) {
    Object.assign(this, { field, marks });
    this.words = [];
    field.addEventListener("input", () => this.draw());
  }

  // What was heard; null is an empty field, for somebody who is to hear for themselves.
  show(heard, words) {
    this.heard = heard;
    this.words = words ?? [];
    this.field.value = heard ?? "";
    this.draw();
  }

  get text() {
    return this.field.value.replace(/\s+/g, " ").trim();
  }

  get changed() {
    return this.text !== (this.heard ?? "");
  }

  draw() {
    const pieces = marked(this.field.value, this.words);
    const spans = pieces.map(([piece, trust]) => (trust ? element("span", { "data-trust": trust }, piece) : piece));
    this.marks.replaceChildren(...spans, "\u200b"); // so that an empty last line has its height
  }
}
