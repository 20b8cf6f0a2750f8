// Record from camera and microphone, and show the answers as they come.

import { part } from "./dom.js";
import { Failure } from "./failure.js";
import { complain } from "./notices.js";
import { Recorder } from "./recorder.js";
import { save } from "./saving.js";
import { Stream } from "./stream.js";
import { period } from "./words.js";

const HOP_S = 1;
const COURSE_S = 60;
const QUIETEST_DB = -60; // the level meter's left end

/**
 * Open the devices and begin a session.
 * @param {any} model as the service describes it
 * @param {string[]} modalities to record
 * @param {import("./result.js").Result} result
 */
export async function startLive(model, modalities, result) {
  const recorder = await Recorder.open(modalities, part("preview"));
  return new LiveSession(model, modalities, result, recorder);
}

class LiveSession {
  #result;
  #recorder;
  #stream;
  #texts = []; // answers as they came, for the download
  #points = []; // those of the course

  constructor(model, modalities, result, recorder) {
    this.#result = result;
    this.#recorder = recorder;
    this.#stream = new Stream(model.name, { modalities, rate: recorder.rate, hop: HOP_S });
    /** Resolves once the service has sent all and closed. */
    this.ended = new Promise((resolve) => this.#stream.addEventListener("closed", resolve));
    this.#listenToService();
    this.#sendWhatIsRecorded();
    result.clear(`The first answer comes after ${model.window_s} s of recording.`);
  }

  /** Stop the devices and ask for the table. */
  stop() {
    this.#recorder.close();
    this.#stream.end();
    if (this.#texts.length === 0) this.#result.clear("The recording ended before its first answer.");
  }

  #sendWhatIsRecorded() {
    const [recorder, stream] = [this.#recorder, this.#stream];
    recorder.onSamples = (samples, captured) => {
      showLevel(samples);
      stream.sendAudio(samples, captured);
    };
    recorder.onFrame = (jpeg, captured) => stream.sendFrame(jpeg, captured);
    recorder.onLost = () => {
      complain(new Failure("The camera or the microphone was unplugged."));
      this.stop();
    };
  }

  #listenToService() {
    this.#stream.addEventListener("answer", ({ detail }) => this.#show(detail));
    this.#stream.addEventListener("table", ({ detail }) => this.#offer(detail));
    this.#stream.addEventListener("fault", ({ detail }) => {
      this.#recorder.close();
      if (this.#texts.length === 0) this.#result.clear("No answer.");
      complain(new Failure(detail));
    });
  }

  #show({ answer, text }) {
    this.#texts.push(text);
    const { end } = answer;
    this.#points = [...this.#points, { at: end, answer }].filter(({ at }) => at > end - COURSE_S);
    this.#result.show(answer, period(answer), { facts: this.#facts(answer), isLive: true });
    const span = [Math.max(0, end - COURSE_S), Math.max(end, COURSE_S)];
    this.#result.showCourse(this.#points, span, "Probability of each class, at the end of each window.");
    if (this.#texts.length === 1) this.#offer(null);
  }

  #facts({ latency_ms: latency, dropped = 0 }) {
    const unsent = this.#stream.dropped;
    return {
      Latency: `${Math.round(latency)} ms from capture`,
      Dropped: dropped > 0 ? `${dropped} windows: the service is too slow` : "",
      "Not sent": unsent > 0 ? `${unsent} messages: the connection is too slow` : "",
    };
  }

  /** @param {Blob | null} table it comes at the end */
  #offer(table) {
    this.#result.offer({
      json: () => save(new Blob(this.#texts.map((text) => `${text}\n`), { type: "application/x-ndjson" }), "live.jsonl"),
      table: table && (() => save(table, "live.parquet")),
    });
  }
}

/** The loudness of the last block, so that the user sees that the microphone works. */
function showLevel(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  const level = 1 - (10 * Math.log10(power + 1e-12)) / QUIETEST_DB;
  part("level").firstElementChild.style.transform = `scaleX(${Math.min(1, Math.max(0, level))})`;
}
