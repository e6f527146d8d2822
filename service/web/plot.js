// The latency plot: seconds to the first sound of each answer, a sign for every rung.
import { byId } from "./app.js";
import { rungName, seconds } from "./words.js";

const NS = "http://www.w3.org/2000/svg";
const HEIGHT = 190;
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 10, 22, 24]; // space around the plot, in pixels
const SIZE = 4.5;
const SLOTS = 12; // so many answers' room at least: a lone one does not stand in the middle of nothing
const TICKS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500];
// By shape and not by colour alone.
const SHAPES = {
  round: "M -1 0 a 1 1 0 1 0 2 0 a 1 1 0 1 0 -2 0 z",
  square: "M -.9 -.9 h 1.8 v 1.8 h -1.8 z",
  triangle: "M 0 -1.15 L 1.1 .85 H -1.1 z",
  diamond: "M 0 -1.3 L 1.3 0 L 0 1.3 L -1.3 0 z",
  bar: "M -1.1 -.45 h 2.2 v .9 h -2.2 z",
  cross: "M -1 -1 L 1 1 M 1 -1 L -1 1",
};
const SIGNS = { plain: "round", onnxruntime: "square", tensorrt: "triangle", remote: "diamond", cache: "bar", failed: "cross" };

// `answers`: the latest first.
export function showPlot(answers) {
  const svg = byId("plot");
  const width = Math.round(svg.getBoundingClientRect().width) || 600;
  const points = answers.toReversed().map(({ rung, first_audio: first }) => (
    first === null ? { kind: "failed" } : { kind: rung, value: first / 1000 }
  ));
  const values = points.filter(({ value }) => value !== undefined).map(({ value }) => value);
  const top = TICKS.find((tick) => tick >= Math.max(...values, 0)) ?? Math.max(...values);
  const slots = Math.max(points.length, SLOTS);
  const x = (index) => LEFT + (index + slots - points.length + 0.5) * (width - LEFT - RIGHT) / slots;
  const y = (value) => HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.replaceChildren(
    ...[0, top / 2, top].flatMap((tick) => [
      draw("line", { x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick), class: "grid" }),
      draw("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, tick ? `${Number(tick.toPrecision(2))} s` : "0 s"),
    ]),
    draw("text", { x: LEFT, y: HEIGHT - 5 }, "earlier"),
    draw("text", { x: width - RIGHT, y: HEIGHT - 5, "text-anchor": "end" }, "now"),
    ...points.flatMap(({ kind, value = 0 }, index) => [
      draw("line", { x1: x(index), x2: x(index), y1: y(0), y2: y(value), class: "stem" }),
      sign(kind, x(index), y(value), kind === "failed" ? "not spoken" : `${seconds(value)}, ${rungName(kind)}`),
    ]),
  );
  const kinds = [...new Set(points.map(({ kind }) => kind))];
  byId("plot-legend").replaceChildren(...kinds.map(legend));
  const said = summary(values, points.length - values.length);
  svg.setAttribute("aria-label", said);
  byId("plot-said").textContent = said;
}

function summary(values, failed) {
  const sorted = values.toSorted((a, b) => a - b);
  const unspoken = failed ? ` ${failed} ${failed === 1 ? "was" : "were"} not spoken.` : "";
  if (!sorted.length) return unspoken.trim();
  const half = seconds(sorted[Math.floor((sorted.length - 1) / 2)]);
  const slowest = seconds(sorted.at(-1));
  if (sorted.length === 1) return `The only answer was heard after ${half}.${unspoken}`;
  return `Of the last ${sorted.length} answers half were heard within ${half}, all within ${slowest}.${unspoken}`;
}

function legend(kind) {
  const item = document.createElement("li");
  const svg = draw("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" });
  svg.append(sign(kind, 0, 0));
  item.append(svg, kind === "failed" ? "not spoken" : rungName(kind));
  return item;
}

function sign(kind, x, y, title = "") {
  const shape = SIGNS[kind] ?? "round";
  const place = `translate(${x} ${y}) scale(${SIZE})`;
  const mark = draw("path", { d: SHAPES[shape], transform: place, class: "sign", "data-kind": kind });
  if (title) mark.append(draw("title", {}, title));
  return mark;
}

function draw(name, attributes, text = "") {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}
