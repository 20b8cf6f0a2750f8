// The bars of the classes, in the model's order, so that none changes its place while they move.

import { el, svg } from "./dom.js";
import { lookOf } from "./series.js";
import { percent } from "./words.js";

export class Bars {
  #list;
  #rows = new Map();

  /** @param {HTMLElement} list @param {string[]} classes */
  constructor(list, classes) {
    this.#list = list;
    list.replaceChildren(...classes.map((name, i) => this.#row(name, i)));
    this.clear();
  }

  /** Show an answer's probabilities; without an answer the last ones stay, dimmed. */
  show({ pred, proba }) {
    this.#list.classList.toggle("is-stale", proba === null);
    if (proba === null) return;
    for (const [name, row] of this.#rows) {
      row.item.classList.toggle("is-answer", name === pred);
      row.fill.style.transform = `scaleX(${proba[name]})`;
      row.value.textContent = percent(proba[name]);
    }
  }

  clear() {
    this.#list.classList.remove("is-stale");
    for (const { item, fill, value } of this.#rows.values()) {
      item.classList.remove("is-answer");
      fill.style.transform = "scaleX(0)";
      value.textContent = "\u2013";
    }
  }

  #row(name, i) {
    const { colour, dash } = lookOf(i);
    const line = svg("line", { x1: 2, y1: 5, x2: 32, y2: 5, "stroke-dasharray": dash });
    const key = svg("svg", { class: "key", viewBox: "0 0 34 10", "aria-hidden": "true" }, line);
    const fill = el("i");
    const value = el("span", { class: "value" });
    const item = el(
      "li",
      {},
      el("span", { class: "name" }, key, name),
      el("span", { class: "track", "aria-hidden": "true" }, fill),
      value,
    );
    item.style.setProperty("--series", colour);
    this.#rows.set(name, { item, fill, value });
    return item;
  }
}
