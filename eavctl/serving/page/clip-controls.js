// Choose a clip, or drop one anywhere on the page.

import { part } from "./dom.js";
import { ACCEPTED } from "./modalities.js";
import { listed } from "./words.js";

export class ClipControls {
  #file = part("file");
  #zone = part("drop");
  #onFiles;

  /**
   * @param {string[]} modalities of the model
   * @param {(files: File[]) => void} onFiles
   */
  constructor(modalities, onFiles) {
    this.#onFiles = onFiles;
    this.#file.multiple = modalities.length > 1;
    this.#file.accept = modalities.flatMap((modality) => ACCEPTED[modality]).join();
    this.#file.addEventListener("change", () => {
      this.#give([...this.#file.files]);
      this.#file.value = ""; // so that the same file can be chosen again
    });
    this.#takeDrops();
    part("drop-note").textContent = note(modalities);
    this.enable(true);
  }

  /** @param {boolean} isOn */
  enable(isOn) {
    this.#file.disabled = !isOn;
    this.#zone.classList.toggle("is-off", !isOn);
  }

  /** Files that miss the zone are taken too: the browser would leave the page to show them. */
  #takeDrops() {
    const mark = (isOver) => this.#zone.classList.toggle("is-over", isOver && !this.#file.disabled);
    addEventListener("dragover", (event) => {
      event.preventDefault();
      mark(true);
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) mark(false); // the pointer left the window
    });
    addEventListener("drop", (event) => {
      event.preventDefault();
      mark(false);
      this.#give([...event.dataTransfer.files]);
    });
  }

  #give(files) {
    if (files.length > 0 && !this.#file.disabled) this.#onFiles(files);
  }
}

function note(modalities) {
  const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  const where = isLocal ? "It stays on this machine." : `It is sent to ${location.host}.`;
  const several = modalities.length > 1 ? ` The ${listed(modalities)} files of one recording can be dropped together.` : "";
  return `Up to 64 MB. ${where}${several}`;
}
