// Where the page says that something failed, and how it brings that into view.

import { part } from "./dom.js";
import { Failure } from "./failure.js";

/** Show why something failed. @param {Error} error */
export function complain(error) {
  part("fault").textContent = sentenceOf(error);
  part("fault").hidden = false;
  reveal();
}

/** Bring the answer into view where the page is one column. */
export function reveal() {
  const title = part("answer-title");
  if (title.getBoundingClientRect().bottom < innerHeight * 0.8) return;
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  title.scrollIntoView({ behavior: isStill ? "auto" : "smooth" });
}

/** Take the last fault back. */
export function forget() {
  part("fault").hidden = true;
}

/** An error as a sentence for the user. @param {Error} error */
export function sentenceOf(error) {
  if (error.name === "NotAllowedError") return "The browser was not allowed to use the camera or the microphone.";
  if (error.name === "NotFoundError") return "There is no such camera or microphone. Connect one, or drop a clip.";
  if (error.name === "NotReadableError") return "The camera or the microphone is in use by another program.";
  if (!(error instanceof Failure)) console.error(error);
  return error.message;
}
