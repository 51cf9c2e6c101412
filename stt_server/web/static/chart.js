// Charts as SVG. Colours are classes (s0, s1, …), so that they follow light and dark; every mark says its figure.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [640, 220];
const EDGE = { left: 44, right: 12, top: 10, bottom: 26 };
const LINES = 4; // of the grid, about

// Series over the same places along x: [{name, values}], null where there is none. `title` is read to who cannot see it.
export function lines(title, labels, series, unit = "") {
  const top = nice(Math.max(...series.flatMap(({ values }) => values).filter((value) => value !== null), 0));
  const x = (i) => EDGE.left + (labels.length < 2 ? 0.5 : i / (labels.length - 1)) * (WIDTH - EDGE.left - EDGE.right);
  const drawn = series.flatMap(({ name, values }, number) => {
    const points = values.map((value, i) => (value === null ? null : [x(i), y(value, top), i])).filter(Boolean);
    const path = node("polyline", { class: `line s${number % 8}`, points: points.map(([px, py]) => `${px},${py}`).join(" ") });
    const dots = points.map(([px, py, i]) => dot(px, py, `dot s${number % 8}`, `${name}, ${labels[i]}: ${values[i]}${unit}`));
    return [path, ...dots];
  });
  return [frame(title, top, unit, labels, x, drawn), legend(series.map(({ name }) => name))];
}

// One bar for each label.
export function bars(title, labels, values) {
  const top = nice(Math.max(...values, LINES)); // things that are counted have no halves
  const step = (WIDTH - EDGE.left - EDGE.right) / labels.length;
  const x = (i) => EDGE.left + (i + 0.5) * step;
  const drawn = values.map((value, i) => {
    const at = y(value, top);
    const bar = node("rect", { class: "bar s0", x: x(i) - 0.4 * step, width: 0.8 * step, y: at, height: y(0, top) - at });
    return said(bar, `${labels[i]}: ${value}`);
  });
  return [frame(title, top, "", labels, x, drawn)];
}

function frame(title, top, unit, labels, x, drawn) {
  const step = top / LINES;
  const grid = Array.from({ length: LINES + 1 }, (_, i) => {
    const at = y(i * step, top);
    const rule = node("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: at, y2: at });
    return [rule, text(`${Number((i * step).toPrecision(3))}${unit}`, { class: "tick", x: EDGE.left - 6, y: at + 4, "text-anchor": "end" })];
  });
  const shown = [...new Set([0, Math.floor((labels.length - 1) / 2), labels.length - 1])];
  const anchors = { 0: "start", [labels.length - 1]: "end" };
  const ticks = shown.map((i) => text(labels[i], { class: "tick", x: x(i), y: HEIGHT - 6, "text-anchor": labels.length > 1 ? (anchors[i] ?? "middle") : "middle" }));
  return said(node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "chart" }, ...grid.flat(), ...ticks, ...drawn), title);
}

function legend(names) {
  const made = document.createElement("ul");
  made.className = "legend";
  made.append(...names.map((name, number) => {
    const item = document.createElement("li");
    item.className = `s${number % 8}`;
    item.textContent = name;
    return item;
  }));
  return made;
}

const y = (value, top) => HEIGHT - EDGE.bottom - (value / top) * (HEIGHT - EDGE.top - EDGE.bottom);

const dot = (cx, cy, name, told) => said(node("circle", { class: name, cx, cy, r: 4 }), told);

// The next number that is 1, 2, 4 or 8 times a power of ten, so that its quarters are round, too.
function nice(value) {
  if (!value) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 8, 10].map((times) => times * power).find((each) => each >= value);
}

function said(made, sentence) {
  const title = node("title", {});
  title.textContent = sentence;
  made.prepend(title);
  return made;
}

function text(words, attributes) {
  const made = node("text", attributes);
  made.textContent = words;
  return made;
}

function node(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
