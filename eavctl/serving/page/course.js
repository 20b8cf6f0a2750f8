// The course of the probabilities over time: one line a class, told apart by dashes and names as well as colour.

import { el, svg } from "./dom.js";
import { lookOf } from "./series.js";
import { clock, isSure, percent, period } from "./words.js";

const HEIGHT = 260;
const TOP = 10;
const BOTTOM = 26;
const LEFT = 44;
const LABEL_PX = 14; // least distance of two names
const PX_A_LETTER = 8.2; // of bold letters, with some to spare
const MOST_OF_NAMES = 0.3; // of the width
const BESIDE = 14; // from the end of a line to its name

/**
 * @typedef {{at: number, answer: any}} Point the answer to a window, and the time at which it is drawn, in seconds
 *   of the recording or session
 */

export class Course {
  #figure;
  #classes;
  #points = [];
  #span = [0, 1];
  #caption = "";
  #width = 0;

  /** @param {HTMLElement} figure @param {string[]} classes */
  constructor(figure, classes) {
    this.#figure = figure;
    this.#classes = classes;
    new ResizeObserver(([entry]) => {
      this.#width = Math.round(entry.contentRect.width);
      this.#draw();
    }).observe(figure);
  }

  /**
   * @param {Point[]} points in order
   * @param {[number, number]} span shown, seconds
   * @param {string} caption
   */
  show(points, span, caption) {
    this.#points = points;
    this.#span = span;
    this.#caption = caption;
    this.#draw();
  }

  #draw() {
    if (!this.#width || this.#points.length === 0) return;
    const longest = Math.max(...this.#classes.map((name) => name.length));
    const letters = Math.min(longest, Math.floor((this.#width * MOST_OF_NAMES) / PX_A_LETTER));
    const right = BESIDE + letters * PX_A_LETTER;
    const [from, to] = this.#span;
    const x = (time) => LEFT + ((time - from) / (to - from)) * (this.#width - LEFT - right);
    const y = (share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
    const picture = svg(
      "svg",
      { viewBox: `0 0 ${this.#width} ${HEIGHT}`, width: this.#width, height: HEIGHT, role: "img", "aria-label": this.#summary() },
      ...silences(this.#points, x, y),
      ...shareAxis(x(from), x(to), y),
      ...timeAxis(from, to, x, this.#width),
      ...this.#classes.map((name, i) => line(this.#points, name, lookOf(i), x, y)),
      ...this.#names(x, y, letters),
    );
    const isSilent = this.#points.some(({ answer }) => answer.pred === null);
    this.#figure.replaceChildren(
      picture,
      el("figcaption", {}, `${this.#caption}${isSilent ? " Shaded: no answer." : ""}`),
    );
  }

  /** The names at the ends of their lines, moved apart where lines end together, of so many letters at most. */
  #names(x, y, letters) {
    const last = this.#points.findLast(({ answer }) => answer.proba !== null);
    if (!last) return [];
    const ends = this.#classes
      .map((name, i) => ({ name, look: lookOf(i), at: y(last.answer.proba[name]) }))
      .sort((a, b) => a.at - b.at);
    const places = spread(ends.map(({ at }) => at), TOP + 4, HEIGHT - BOTTOM);
    return ends.flatMap(({ name, look, at }, i) => [
      dot(x(last.at), at, look),
      svg("path", { class: "leader", d: `M${x(last.at) + 4} ${at}L${x(last.at) + 11} ${places[i]}` }),
      coloured(svg("text", { class: "label", x: x(last.at) + BESIDE, y: places[i] + 4 }, shortened(name, letters)), look),
    ]);
  }

  #summary() {
    const answers = this.#points.map(({ answer }) => (answer.pred === null ? "no answer" : answer.pred));
    const counts = [...new Set(answers)].map((name) => `${name} in ${answers.filter((other) => other === name).length}`);
    return `Course of the probabilities over ${answers.length} windows: ${counts.join(", ")}.`;
  }
}

/** A name of so many letters at most; the bars have the whole one. */
function shortened(name, letters) {
  return name.length > letters ? `${name.slice(0, letters - 1)}\u2026` : name;
}

/** Positions in order, at least `LABEL_PX` apart, between two bounds where they fit. */
export function spread(places, low, high) {
  const found = [...places];
  for (let i = 0; i < found.length; i += 1) found[i] = Math.max(found[i], i ? found[i - 1] + LABEL_PX : low);
  for (let i = found.length - 1; i >= 0; i -= 1) {
    found[i] = Math.min(found[i], i + 1 < found.length ? found[i + 1] - LABEL_PX : high);
  }
  return found;
}

/** The windows as a table, the newest first. @param {Point[]} points */
export function windowTable(points) {
  const head = ["Window", "Answer", "Probability", "Note"].map((title) => el("th", { scope: "col" }, title));
  const rows = points.toReversed().map(({ answer }) =>
    el(
      "tr",
      {},
      el("td", {}, period(answer)),
      el("td", {}, answer.pred === null ? "none" : isSure(answer) ? answer.pred : `unsure (${answer.pred})`),
      el("td", {}, answer.pred === null ? "\u2013" : percent(answer.proba[answer.pred])),
      el("td", {}, answer.unsure.join("; ")),
    ),
  );
  return el("table", { class: "windows" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
}

function coloured(node, { colour }) {
  node.style.setProperty("--series", colour);
  return node;
}

function dot(cx, cy, look) {
  return coloured(svg("circle", { class: "dot", cx, cy, r: 3.5 }), look);
}

/** A class's line, broken where windows have no answer. */
function line(points, name, look, x, y) {
  let d = "";
  let isBroken = true;
  for (const { at, answer } of points) {
    if (answer.proba !== null) {
      const place = `${x(at).toFixed(1)} ${y(answer.proba[name]).toFixed(1)}`;
      d += isBroken ? `M${place}h0.01` : `L${place}`; // h: a single window is seen, as a point
    }
    isBroken = answer.proba === null;
  }
  return coloured(svg("path", { class: "line", d, "stroke-dasharray": look.dash }), look);
}

/** Bands where there is no answer: from the point before to that of each window without one. */
function silences(points, x, y) {
  return points.flatMap(({ at, answer }, i) => {
    if (answer.pred !== null) return [];
    const from = Math.max(x(i ? points[i - 1].at : answer.start), LEFT);
    return [svg("rect", { class: "silence", x: from, y: y(1), width: Math.max(0, x(at) - from), height: y(0) - y(1) })];
  });
}

function shareAxis(from, to, y) {
  return [0, 0.5, 1].flatMap((share) => [
    svg("line", { class: share ? "grid" : "axis", x1: from, x2: to, y1: y(share), y2: y(share) }),
    svg("text", { class: "tick", x: from - 8, y: y(share) + 4, "text-anchor": "end" }, percent(share)),
  ]);
}

function timeAxis(from, to, x, width) {
  const most = Math.max(2, Math.floor(width / 120));
  const step = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800].find((each) => (to - from) / each <= most) ?? 3600;
  const ticks = [];
  for (let time = Math.ceil(from / step) * step; time <= to + 1e-9; time += step) {
    const text = to > 90 ? clock(time) : `${time} s`;
    ticks.push(svg("text", { class: "tick", x: x(time), y: HEIGHT - 6, "text-anchor": "middle" }, text));
  }
  return ticks;
}
