// The dashboard: what is live and how it came to be so, what is on its way, and the swap itself.

import { ask } from "./api.js";
import { bars, lines } from "./chart.js";
import { $, alarm, element } from "./element.js";
import { enter } from "./entry.js";

const EVERY_MS = 10_000;
const VERDICTS = { passed: "Passed", refused: "Refused", undecided: "Undecided" };

let me = null;

// ----------------------------------------------------------------------------------------------------------- one look

async function look() {
  const board = await ask("GET", "v1/dashboard");
  live(board);
  report(board.report);
  queue(board.queue);
  rates(board);
  for (const name of ["clips", "opt_ins", "withdrawals"]) daily(name, board.days);
  jobs(board.jobs);
  shadow(board);
  swap(board);
  $("all").hidden = false;
}

function live({ live: made }) {
  const now = made.at(-1);
  $("live").textContent = now?.model ?? "None";
  const by = now?.ungated ? `by ${now.actor}, no gate was passed` : `by ${now?.actor}, its gate was passed`;
  $("live-since").textContent = now ? `since ${moment(now.moment)}, ${by}` : "";
  $("rollback").hidden = !(mayChange() && now?.previous);
}

function report(last) {
  $("verdict").textContent = last ? VERDICTS[last.verdict] : "None yet";
  $("verdict").dataset.verdict = last?.verdict ?? "";
  $("report-about").textContent = last ? `${last.model} against ${last.base ?? "nothing"}, ${moment(last.created)}` : "";
  $("reasons").replaceChildren(...(last?.reasons ?? []).map((reason) => element("li", {}, reason)));
  $("report-page").hidden = !last?.page || !last.job_id;
  if (last?.job_id) $("report-page").href = `v1/jobs/${last.job_id}/report`;
}

function queue(counts) {
  const hours = counts.validated_s / 3600;
  const figures = {
    waiting: counts.waiting,
    "being judged": counts.leased,
    "in conflict": counts.parked,
    decided: counts.decided,
    "validated": hours >= 1 ? `${hours.toFixed(1)} h` : `${Math.round(hours * 60)} min`,
  };
  const rows = Object.entries(figures).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value))));
  $("queue").replaceChildren(...rows);
}

// Over the models that have answered everybody, a line for each set that two of them or the last were measured on.
function rates({ live: made, models }) {
  const known = Object.fromEntries(models.map((model) => [model.ref, model]));
  const shown = made.map(({ model }) => known[model]).filter((model) => model && Object.keys(model.wer).length);
  const sets = [...new Set(shown.flatMap(({ wer }) => Object.keys(wer)))];
  const percent = ({ wer }, set) => (wer[set] ? Number((100 * wer[set].value).toFixed(1)) : null);
  const series = sets.map((name) => ({ name, values: shown.map((model) => percent(model, name)) }));
  draw("wer", shown.length && lines("Word error rate by set, model after model", shown.map(({ version }) => version), series, " %"), "No live model was measured.");
}

function daily(name, days) {
  const sum = days.reduce((all, day) => all + day[name], 0);
  const labels = days.map(({ day }) => day.slice(5));
  draw(name, bars(`${sum} in ${days.length} days`, labels, days.map((day) => day[name])), "");
}

function jobs(rows) {
  $("no-jobs").hidden = rows.length > 0;
  $("jobs").hidden = !rows.length;
  $("jobs").tBodies[0].replaceChildren(...rows.map(jobRow));
}

function jobRow(job) {
  const progress = job.status === "running" ? element("progress", { value: job.progress, "aria-label": "progress" }) : "";
  const came = job.error || [job.result.verdict, job.result.promoted ? "live" : ""].filter(Boolean).join(", ");
  const status = element("span", { class: "pill" }, job.status);
  const cells = [job.id.slice(0, 8), job.dataset ?? "", status, element("span", {}, progress, ` ${job.stage}`), moment(job.created), came];
  return element("tr", {}, ...cells.map((cell) => element("td", {}, cell)));
}

function shadow({ shadow: days, routes }) {
  const trials = routes.filter(({ kind }) => kind === "shadow" || kind === "canary");
  const told = trials.map(({ kind, model, share }) => `${model}: ${kind} for ${Math.round(100 * share)} % of sessions`);
  $("shadow-about").textContent = told.join(" · ") || "No candidate listens beside the live model.";
  const labels = [...new Set(days.map(({ day }) => day))];
  const models = [...new Set(days.map(({ model }) => model))];
  const share = (model, day) => disagreement(days.filter((each) => each.model === model && each.day === day));
  const series = models.map((name) => ({ name, values: labels.map((day) => share(name, day)) }));
  draw("shadow", days.length && lines("Utterances heard otherwise than the live model did", labels, series, " %"), "");
}

function disagreement(rows) {
  const utterances = rows.reduce((all, each) => all + each.utterances, 0);
  const differing = rows.reduce((all, each) => all + each.differing, 0);
  return utterances ? Number(((100 * differing) / utterances).toFixed(1)) : null;
}

function draw(id, made, otherwise) {
  $(id).replaceChildren(...(made || [otherwise]));
}

// -------------------------------------------------------------------------------------------------------- the swap

const mayChange = () => me.scopes.includes("admin");

function swap({ live: made, models, changes }) {
  $("promote").hidden = !mayChange();
  $("may-not").hidden = mayChange();
  const chosen = $("model").value;
  const options = models.filter(({ ref, status }) => ref !== made.at(-1)?.model && status !== "removed");
  $("model").replaceChildren(...options.map(({ ref, status }) => element("option", { value: ref }, `${ref} (${status})`)));
  if (options.some(({ ref }) => ref === chosen)) $("model").value = chosen;
  $("changes").replaceChildren(...changes.map((each) => element("li", {}, change(each))));
}

function change({ moment: when, actor, action, kind, key, model, ungated, reason }) {
  const where = kind === "live" ? "live" : [kind, key].filter(Boolean).join(" ");
  const why = [ungated ? "no gate" : "", reason].filter(Boolean).join(": ");
  return `${moment(when)} · ${action} · ${where} → ${model ?? "nothing"} · ${actor}${why ? ` · ${why}` : ""}`;
}

async function attempt(doing, said) {
  alarm(null);
  $("said").textContent = "";
  try {
    await doing();
    await look();
    $("said").textContent = said;
  } catch (error) {
    alarm(error.message);
  }
}

$("promote").addEventListener("submit", (event) => {
  event.preventDefault();
  const model = $("model").value;
  if (!model) return;
  const body = { reason: $("reason").value };
  attempt(() => ask("POST", `v1/catalog/models/${encodeURIComponent(model)}/promote`, body), `${model} is live; servers follow within two seconds.`);
});

$("rollback").addEventListener("click", () => {
  attempt(() => ask("POST", "v1/catalog/rollback", { reason: $("reason").value || "from the dashboard" }), "The model before is live again.");
});

const moment = (text) => new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

// --------------------------------------------------------------------------------------------------------- from now on

async function again() {
  if (!document.hidden) await look().then(() => alarm(null), (error) => alarm(error.message));
  setTimeout(again, EVERY_MS);
}

try {
  me = await enter("curate");
  if (me) {
    await look();
    setTimeout(again, EVERY_MS);
  }
} catch (error) {
  alarm(error.message);
}
