// Datasets: the list, and of the chosen one its script, its clips, its snapshots and their exports.

import { ask } from "./api.js";
import { Clips } from "./clips.js";
import { $, alarm, element } from "./element.js";
import { enter } from "./entry.js";
import { read, written } from "./script.js";

const FORMATS = { deepspeech: "DeepSpeech CSV", nemo: "NeMo JSONL", "common-voice": "Common Voice TSV", audiofolder: "Hugging Face audiofolder", webdataset: "webdataset tar" };

const clips = new Clips();
let chosen = ""; // the dataset's name; "" is every clip there is

const path = (...rest) => ["v1/datasets", encodeURIComponent(chosen), ...rest].join("/");

// --------------------------------------------------------------------------------------------------------- the list

async function list() {
  const { datasets } = await ask("GET", "v1/datasets");
  const links = datasets.map((each) => link(each.name, each.name, `${each.clips} clips · ${length(each.hours)}`));
  $("datasets").replaceChildren(link("", "All clips", "in whatever dataset"), ...links);
  return datasets.map(({ name }) => name);
}

function link(name, title, about) {
  const current = name === chosen ? { "aria-current": "true" } : {};
  const made = element("a", { href: `?${new URLSearchParams({ name })}`, "data-name": name, ...current }, element("strong", {}, title), element("small", {}, about));
  return element("li", {}, made);
}

function length(hours) {
  if (hours >= 1) return `${hours.toFixed(1)} h`;
  return hours * 60 >= 1 ? `${Math.round(hours * 60)} min` : `${Math.round(hours * 3600)} s`;
}

// ------------------------------------------------------------------------------------------------------ the chosen one

async function show(name) {
  chosen = name;
  for (const each of $("datasets").querySelectorAll("a")) {
    if (each.dataset.name === name) each.setAttribute("aria-current", "true");
    else each.removeAttribute("aria-current");
  }
  $("one").hidden = !name;
  $("title").textContent = name || "All clips";
  await Promise.all([clips.show(name), ...(name ? [details(), snapshots()] : [])]);
}

async function details() {
  const { description, licence, script, said, clips: count, hours } = await ask("GET", path());
  $("about").textContent = [description, licence, `${count} clips`, length(hours)].filter(Boolean).join(" · ");
  $("script").value = written(script ?? []);
  const wanted = (script ?? []).reduce((sum, [, times]) => sum + times, 0);
  const done = (script ?? []).reduce((sum, [sentence, times]) => sum + Math.min(times, said?.[sentence] ?? 0), 0);
  $("script-state").textContent = wanted ? `${done} of ${wanted} said` : "No script: people say what they like.";
  $("record").href = `record?${new URLSearchParams({ dataset: chosen })}`;
}

async function snapshots() {
  const { snapshots: made } = await ask("GET", path("snapshots"));
  $("snapshots").replaceChildren(...made.map((each, i) => snapshot(each, made[i + 1])));
  $("no-snapshots").hidden = made.length > 0;
}

function snapshot(each, before) {
  const when = new Date(each.created).toLocaleDateString([], { dateStyle: "medium" });
  const gone = each.withdrawn ? ` · ${each.withdrawn} withdrawn since` : "";
  const about = element("p", {}, element("strong", {}, `Version ${each.number}`), ` · ${when} · for ${each.purpose}${gone}`);
  const exports = Object.entries(FORMATS).map(([format, title]) => {
    const href = path("snapshots", each.number, `export?format=${format}`);
    return element("a", { href, download: "" }, title);
  });
  const diff = before ? [element("a", { href: path(`diff?from=${before.number}&to=${each.number}`) }, `what changed since ${before.number}`)] : [];
  return element("li", {}, about, element("p", { class: "links" }, ...exports, ...diff));
}

// ----------------------------------------------------------------------------------------------------------- changes

async function attempt(change, said) {
  alarm(null);
  $("said").textContent = "";
  try {
    await change();
    $("said").textContent = said;
  } catch (error) {
    alarm(error.message);
  }
}

async function create() {
  const name = $("new-name").value.trim();
  await ask("POST", "v1/datasets", { name, description: $("new-description").value.trim(), licence: $("new-licence").value.trim() });
  $("create").reset();
  $("new").open = false;
  await list();
  go(name);
}

async function write(body) {
  await ask("PUT", path("script"), body);
  await details();
}

function go(name) {
  history.pushState(null, "", `?${new URLSearchParams({ name })}`);
  return show(name);
}

function submits(id, change, said) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(change, said);
  });
}

submits("create", create, "The dataset is made.");
submits("script-form", () => write({ script: read($("script").value) }), "The script is kept.");
submits("cover-form", cover, "The script now has the sentences that cover most words.");
submits("snapshot-form", freeze, "The snapshot is made.");

async function cover() {
  const sentences = $("candidates").value.split("\n").map((line) => line.trim()).filter(Boolean);
  await write({ cover: sentences, count: Number($("count").value) });
}

async function freeze() {
  await ask("POST", path("snapshots"), { purpose: $("purpose").value });
  await snapshots();
}

$("datasets").addEventListener("click", (event) => {
  const wanted = event.target.closest("a");
  if (!wanted || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  attempt(() => go(wanted.dataset.name), "");
});

// Audio starts one at a time.
$("clips").addEventListener("play", ({ target }) => {
  for (const other of $("clips").querySelectorAll("audio")) if (other !== target) other.pause();
}, true);

const wanted = () => new URLSearchParams(location.search).get("name") ?? "";
addEventListener("popstate", () => attempt(() => show(wanted()), ""));

attempt(async () => {
  if (!(await enter("curate"))) return;
  const names = await list();
  $("all").hidden = false;
  await show(names.includes(wanted()) ? wanted() : "");
}, "");
