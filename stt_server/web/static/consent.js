// Consent: read the words, choose, hear what is kept, take it out, delete one clip or all.

import { ask, becomeSomebody } from "./api.js";
import { $, alarm, element } from "./element.js";
import { enter, known } from "./entry.js";
import { addKey, contributor } from "./key.js";

const AT_ONCE = 20;
const CHOICES = ["training", "release"]; // recognition needs nobody's consent: nothing is kept for it
const STATUS = { waiting: "not checked, yet", decided: "checked", parked: "checked, in dispute", quarantined: "put away" };
let me = null;
let offer = null;
let next = null;

async function start() {
  me = await enter("contribute");
  if (!me) return;
  await known(); // a token of another server is not ours to show
  await refresh();
  $("all").hidden = false;
}

async function refresh() {
  show(await ask("GET", "v1/consent"));
  await fetchClips(null);
}

function show(state) {
  offer = state.offer;
  $("off").hidden = state.collecting;
  $("words").replaceChildren(...offer.text.trim().split(/\n\s*\n/).map((part) => element("p", {}, part)));
  const agreed = state.consent?.purposes ?? [];
  $("purposes").replaceChildren(...CHOICES.map((purpose) => choice(purpose, agreed.includes(purpose))));
  $("state").textContent = agreed.includes("training") ? "Clips of what you say are kept" : "Nothing of what you say is kept";
  $("since").textContent = since(state.consent);
  $("count").textContent = state.clips === 1 ? "1 clip" : `${state.clips} clips`;
  $("mine").hidden = state.clips === 0;
  $("leave").hidden = !state.consent && state.clips === 0;
  $("who").hidden = !contributor();
  $("token").textContent = contributor() ?? "";
}

function choice(purpose, checked) {
  const box = element("input", { type: "checkbox", name: "purpose", value: purpose, id: purpose });
  box.checked = checked;
  box.addEventListener("change", () => follow(box));
  return element("label", { class: "purpose" }, box, element("span", {}, offer.purposes[purpose]));
}

// Who agrees to a release agrees to training, too; who takes training back takes the release back.
function follow(box) {
  if (box.value === "release" && box.checked) $("training").checked = true;
  if (box.value === "training" && !box.checked) $("release").checked = false;
  $("said").textContent = "";
}

function since(consent) {
  if (!consent) return "";
  const day = (moment) => new Date(moment).toLocaleDateString([], { dateStyle: "long" });
  const other = consent.version === offer.version ? "" : " You agreed to earlier words; these are the present ones.";
  return `Since ${day(consent.given)}${consent.expires ? `, until ${day(consent.expires)}` : ""}.${other}`;
}

async function agree() {
  const chosen = CHOICES.filter((purpose) => $(purpose).checked);
  const kept = !$("mine").hidden;
  if (!chosen.length && kept && !confirm("Without this, all your clips are deleted now. Go on?")) return;
  if (chosen.length && !me.person && !me.csrf && !contributor()) await becomeSomebody();
  if (chosen.length || me.person || contributor()) {
    await ask("PUT", "v1/consent", { version: offer.version, purposes: chosen.length ? chosen : ["recognition"], way: "page" });
    await refresh();
  }
  $("said").textContent = chosen.length ? "Noted. Thank you." : "Noted: nothing is kept.";
}

async function withdraw() {
  if (!confirm("Delete all your clips and everything said about them, for good?")) return;
  const { clips, left } = await ask("DELETE", "v1/consent");
  await refresh();
  $("leave").hidden = false;
  const many = clips === 1 ? "1 clip is" : `${clips} clips are`;
  $("gone").textContent = left ? `${many} out of use; the last recordings are deleted within a minute.` : `${many} deleted.`;
}

async function fetchClips(after) {
  const page = await ask("GET", `v1/consent/clips?${new URLSearchParams({ limit: AT_ONCE, ...(after ? { after } : {}) })}`);
  next = page.next;
  const before = after ? [...$("clips").children] : [];
  $("clips").replaceChildren(...before, ...page.clips.map(row));
  $("more").hidden = !next;
}

function row(clip) {
  const words = clip.text ?? clip.hypothesis;
  const when = new Date(clip.created).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const button = element("button", { type: "button", class: "act", "aria-label": `Delete the clip “${words}”` }, "Delete");
  const made = element(
    "li",
    {},
    element("div", { class: "line" }, element("p", { class: "text" }, words || "no words"), button),
    element("audio", { controls: "", preload: "none", src: clip.audio, "aria-label": words || "a clip without words" }),
    element("p", { class: "hint" }, `${when}, ${clip.duration_s.toFixed(1)} s, ${STATUS[clip.status]}`),
  );
  button.addEventListener("click", () => tell(() => remove(clip)));
  return made;
}

async function remove(clip) {
  await ask("DELETE", `v1/clips/${clip.id}`);
  await refresh();
}

// The browser itself fetches the zip: it may be larger than a page's memory.
function takeOut() {
  const address = new URL("v1/consent/takeout", location.href);
  addKey(address);
  element("a", { href: address.href, download: "my-clips.zip" }).click();
}

// Do it, and say what went wrong if anything did.
async function tell(deed) {
  alarm(null);
  try {
    await deed();
  } catch (error) {
    alarm(error.message);
  }
}

$("agreement").addEventListener("submit", (event) => {
  event.preventDefault();
  tell(agree);
});
$("withdraw").addEventListener("click", () => tell(withdraw));
$("more").addEventListener("click", () => tell(() => fetchClips(next)));
$("takeout").addEventListener("click", () => tell(takeOut));
tell(start);
