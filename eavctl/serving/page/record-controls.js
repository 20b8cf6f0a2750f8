// The controls of a recording: which devices, start and stop, and what is recorded now.

import { part } from "./dom.js";
import { RECORDABLE } from "./modalities.js";
import { clock } from "./words.js";

const LABELS = { idle: "Start recording", starting: "Starting \u2026", finishing: "Finishing \u2026" };

export class RecordControls {
  #button = part("start");
  #boxes = [...part("devices").querySelectorAll("input")];
  #timer = 0;
  /** @type {"idle" | "starting" | "recording" | "finishing"} */
  state = "idle";

  /**
   * @param {string[]} modalities of the model
   * @param {{start: (modalities: string[]) => void, stop: () => void}} actions
   */
  constructor(modalities, { start, stop }) {
    const offered = modalities.filter((modality) => RECORDABLE.includes(modality));
    part("record").hidden = offered.length === 0;
    part("devices").hidden = offered.length === 1; // nothing to choose
    for (const box of this.#boxes) {
      box.checked = offered.includes(box.value);
      box.parentElement.hidden = !box.checked;
      box.addEventListener("change", () => this.show("idle"));
    }
    this.#button.addEventListener("click", () => {
      if (this.#button.ariaDisabled === "true") return;
      if (this.state === "recording") stop();
      else start(this.#chosen());
    });
    this.#button.disabled = false;
  }

  /** @param {"idle" | "starting" | "recording" | "finishing"} state */
  show(state) {
    this.state = state;
    const isOn = state === "recording";
    const isBusy = state === "starting" || state === "finishing";
    clearInterval(this.#timer);
    // not `disabled`: that would take the keyboard's focus away
    this.#button.ariaDisabled = String(isBusy || this.#chosen().length === 0);
    this.#button.classList.toggle("is-on", isOn);
    if (isOn) this.#count();
    else this.#label(LABELS[state]);
    part("level").hidden = !(isOn && this.#chosen().includes("audio"));
    part("preview").hidden = !(isOn && this.#chosen().includes("video"));
    for (const box of this.#boxes) box.disabled = state !== "idle";
  }

  #chosen() {
    return this.#boxes.filter((box) => box.checked).map((box) => box.value);
  }

  #count() {
    const begun = performance.now();
    const tick = () => this.#label(`Stop recording, ${clock((performance.now() - begun) / 1000)}`);
    tick();
    this.#timer = setInterval(tick, 500);
  }

  #label(text) {
    this.#button.querySelector("span").textContent = text;
  }
}
