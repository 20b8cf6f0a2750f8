// The part of the page that shows answers: of a clip once, of a live session again and again.

import { Bars } from "./bars.js";
import { Course, windowTable } from "./course.js";
import { el, part } from "./dom.js";
import { details, headline } from "./verdict.js";
import { sentence } from "./words.js";

const SPEAK_EVERY_MS = 5000; // a screen reader that is interrupted by each window never ends a sentence

export class Result {
  #bars;
  #course;
  #points = [];
  #spoken = { text: "", at: -Infinity };
  #downloads = null;

  /** @param {string[]} classes */
  constructor(classes) {
    this.#bars = new Bars(part("bars"), classes);
    this.#course = new Course(part("course"), classes);
    part("windows").addEventListener("toggle", () => this.#listWindows());
    part("json").addEventListener("click", () => this.#downloads.json());
    part("table").addEventListener("click", () => this.#downloads.table());
    this.clear("No recording yet.");
  }

  /** Take back what is shown, and say in its place what is going on. */
  clear(note) {
    this.#bars.clear();
    this.#points = [];
    part("verdict").replaceChildren(el("p", { class: "waiting" }, note));
    part("details").replaceChildren();
    for (const id of ["downloads", "course-part", "analysis-part"]) part(id).hidden = true;
    this.#say(note, true);
  }

  /**
   * @param {any} answer as the service gives it
   * @param {string} when which recording, or which part of the session
   * @param {{facts?: Record<string, string>, notes?: string[], isLive?: boolean}} more
   */
  show(answer, when, { facts = {}, notes = [], isLive = false } = {}) {
    part("verdict").replaceChildren(headline(answer, when));
    part("details").replaceChildren(details(answer, facts, notes));
    this.#bars.show(answer);
    this.#say(sentence(answer), !isLive);
  }

  /** The parameters are those of `Course.show`. */
  showCourse(points, span, caption) {
    this.#points = points;
    part("course-part").hidden = false;
    this.#course.show(points, span, caption);
    this.#listWindows();
  }

  /** @param {{json: () => void, table: (() => void) | null}} downloads none of a table before it is there */
  offer(downloads) {
    this.#downloads = downloads;
    part("downloads").hidden = false;
    part("table").disabled = downloads.table === null;
  }

  /** A table that is closed is not built: it changes with every window. */
  #listWindows() {
    const list = part("windows");
    if (list.open) list.querySelector(".scroll").replaceChildren(windowTable(this.#points));
  }

  #say(text, isUrgent) {
    const now = performance.now();
    if (text === this.#spoken.text || (!isUrgent && now - this.#spoken.at < SPEAK_EVERY_MS)) return;
    this.#spoken = { text, at: now };
    part("spoken").textContent = text;
  }
}
