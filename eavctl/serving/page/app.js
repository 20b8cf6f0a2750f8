// Starts the page: finds the model, and connects the controls to what they do.

import { introduce } from "./about.js";
import { describeModel, isReady } from "./api.js";
import { ClipControls } from "./clip-controls.js";
import { judgeClip } from "./clip.js";
import { part } from "./dom.js";
import { startLive } from "./live.js";
import { complain, forget } from "./notices.js";
import { RecordControls } from "./record-controls.js";
import { Result } from "./result.js";

const FIRST_LOOK_MS = 500;
const LOOK_AGAIN_MS = 5000;

class App {
  #model;
  #result;
  #clips;
  #records;
  #live = null;
  #job = 0; // the latest; answers to earlier ones are not shown

  constructor(model) {
    this.#model = model;
    this.#result = new Result(model.classes);
    this.#clips = new ClipControls(model.modalities, (files) => this.#judge(files));
    this.#records = new RecordControls(model.modalities, {
      start: (modalities) => this.#record(modalities),
      stop: () => this.#stop(),
    });
  }

  async #judge(files) {
    const isCurrent = this.#begin();
    try {
      await judgeClip(this.#model, files, this.#result, isCurrent);
    } catch (error) {
      if (!isCurrent()) return;
      this.#result.clear("No answer.");
      complain(error);
    }
  }

  async #record(modalities) {
    this.#begin();
    this.#clips.enable(false);
    this.#records.show("starting");
    try {
      this.#live = await startLive(this.#model, modalities, this.#result);
      this.#records.show("recording");
      await this.#live.ended;
    } catch (error) {
      complain(error);
    }
    this.#live = null;
    this.#records.show("idle");
    this.#clips.enable(true);
  }

  #stop() {
    this.#records.show("finishing");
    this.#live.stop();
  }

  /** Begin a job. @returns {() => boolean} whether it is still the latest */
  #begin() {
    this.#job += 1;
    const job = this.#job;
    forget();
    return () => job === this.#job;
  }
}

/** Show whether the service takes recordings. @returns {Promise<boolean>} */
async function showState() {
  const ready = await isReady();
  const state = part("state");
  const text = ready ? "ready" : "not ready";
  if (state.textContent !== text) state.textContent = text; // a screen reader says what is set, changed or not
  state.dataset.state = ready ? "ready" : "wait";
  return ready;
}

async function start() {
  while (!(await showState())) await new Promise((resolve) => setTimeout(resolve, FIRST_LOOK_MS));
  setInterval(showState, LOOK_AGAIN_MS);
  try {
    const model = await describeModel();
    introduce(model);
    new App(model);
  } catch (error) {
    complain(error);
  }
}

start();
