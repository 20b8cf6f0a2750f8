// The answer in words: what it is, how often such answers are right, and what it rests on.

import { el, svg } from "./dom.js";
import { absence, isCrossCorpus, isSure, listed, measuredOn, missing, percent, qualityInWords } from "./words.js";

/** The headline: the answer and its probability. */
export function headline(answer, when) {
  return el("div", { class: isSure(answer) ? "verdict" : "verdict is-unsure" }, ...words(answer), el("small", {}, when));
}

function words(answer) {
  if (answer.pred === null) return [el("strong", {}, "no answer")];
  const probability = percent(answer.proba[answer.pred]);
  if (isSure(answer)) return [el("strong", {}, answer.pred), el("span", {}, probability)];
  return [el("strong", {}, "unsure"), el("span", {}, `likeliest ${answer.pred}, ${probability}`)];
}

/**
 * What stands below the bars.
 * @param {any} answer
 * @param {Record<string, string>} facts more of them, by title
 * @param {string[]} notes what is odd about the recording
 */
export function details(answer, facts, notes) {
  const warnings = [...answer.unsure, ...notes];
  const used = answer.modalities ?? answer.used;
  const rows = {
    Used: used && inWords(used),
    Absent: (answer.absent ?? []).map(absence).join("; "),
    Missing: missing(answer.gaps ?? {}),
    ...facts,
    Quality: answer.quality && qualityInWords(answer.quality),
  };
  const shown = Object.entries(rows).filter(([, text]) => text);
  return el(
    "div",
    {},
    warnings.length > 0 && el("ul", { class: "notes" }, ...warnings.map((why) => el("li", {}, why))),
    answer.pred !== null && reliability(answer),
    el("dl", { class: "facts" }, ...shown.map(([title, text]) => el("div", {}, el("dt", {}, title), el("dd", {}, text)))),
  );
}

/** Names of modalities, or their weights in a fusion. */
function inWords(used) {
  if (Array.isArray(used)) return listed(used);
  return listed(Object.entries(used).map(([name, weight]) => (weight === null ? name : `${name} ${weight.toFixed(2)}`)));
}

function reliability(answer) {
  const right = answer.right_out_of_fold;
  if (!right) return el("p", { class: "right soft" }, "How often such answers are right is not known.");
  const where = measuredOn(right.measured_on);
  return el(
    "div",
    { class: "right" },
    interval(right),
    el(
      "p",
      {},
      `Of ${right.n_rows} answers \u201c${answer.pred}\u201d of about this probability, `,
      el("b", {}, percent(right.right)),
      ` [${Math.round(right.low * 100)}, ${Math.round(right.high * 100)}] were right, on ${where}.`,
      !isCrossCorpus(right.measured_on) && " On other recordings fewer may be right.",
    ),
  );
}

/** The share of right answers as a dot in the band of its interval, on a rail from 0 to 100 %. */
function interval({ right, low, high }) {
  const x = (share) => 4 + share * 152;
  return svg(
    "svg",
    { class: "interval", viewBox: "0 0 160 14", "aria-hidden": "true" },
    svg("line", { class: "rail", x1: x(0), x2: x(1), y1: 7, y2: 7 }),
    svg("rect", { class: "band", x: x(low), width: Math.max(2, x(high) - x(low)), y: 3, height: 8, rx: 2 }),
    svg("circle", { class: "dot", cx: x(right), cy: 7, r: 4 }),
  );
}
