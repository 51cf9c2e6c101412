// What a curator does about a clip: decide where taggers cannot, have it judged anew, let it measure taggers.

import { ask, whoAmI } from "./api.js";
import { $, alarm, element } from "./element.js";
import { beSomebody } from "./entry.js";

const OTHERS = { unclear: "Unclear", noise: "Noise", private: "Private", other_language: "Other language" };

// The controls for this clip; changed(clip) gets it as it stands after one of them was used.
export function controls(clip, changed) {
  const act = (what, body) => attempt(clip, what, body, changed);
  const open = ["waiting", "parked"].includes(clip.status);
  return open ? deciding(clip, (body) => act("decide", body)) : settled(clip, act);
}

async function attempt(clip, what, body, changed) {
  alarm(null);
  try {
    if (what === "decide") await beSomebody(await whoAmI()); // two votes must be known to be of two people
    const told = await ask("POST", `v1/tagging/clips/${clip.id}/${what}`, body);
    const { said, after } = CHANGES[what](clip, told, body);
    $("said").textContent = said;
    changed({ ...clip, ...after });
  } catch (error) {
    alarm(error.message);
  }
}

const standing = ({ status, verdict, text, round }) => ({ status, verdict, text, round });

const CHANGES = {
  decide: (clip, told, { verdict, text = null }) => ({
    said: "Decided.",
    after: { ...standing(told), votes: [...clip.votes, { verdict, text, expert: true }] },
  }),
  reopen: (clip, told) => ({ said: "It is judged from the beginning.", after: { ...standing(told), votes: [], gold: false } }),
  gold: (clip, { gold }) => ({ said: gold ? "It measures taggers now." : "It measures nobody any more.", after: { gold } }),
};

// One field and who said what for it; a text that is what was heard is right as heard.
function deciding(clip, decide) {
  const id = `text-${clip.id}`;
  const readings = [...new Set([clip.hypothesis, ...clip.votes.map(({ text }) => text)])].filter(Boolean);
  const field = element("input", { id, value: readings[0] ?? "", maxlength: 2000, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const form = element(
    "form",
    {},
    element("div", { class: "field" }, element("label", { for: id }, "What was said"), field),
    element("div", { class: "row" }, ...readings.slice(1).map((text) => button(`“${text}”`, () => (field.value = text)))),
    element(
      "div",
      { class: "row" },
      element("button", { class: "act main" }, "Decide so"),
      ...Object.entries(OTHERS).map(([verdict, title]) => button(title, () => decide({ verdict }))),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.replace(/\s+/g, " ").trim();
    decide(text && text === clip.hypothesis ? { verdict: "right" } : { verdict: "corrected", text });
  });
  const summary = element("summary", {}, "Decide as an expert");
  return element("details", clip.status === "parked" ? { open: "" } : {}, summary, form);
}

function settled(clip, act) {
  const again = button("Judge it anew", () => act("reopen"));
  const gold = button(clip.gold ? "Measure nobody by it" : "Measure taggers by it", () => act("gold", { gold: !clip.gold }));
  return element("div", { class: "row" }, again, ...(clip.status === "decided" ? [gold] : []));
}

function button(title, onpress) {
  const made = element("button", { type: "button", class: "act" }, title);
  made.addEventListener("click", onpress);
  return made;
}
