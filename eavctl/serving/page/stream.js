// A live session over a WebSocket: samples and frames out, answers in, the prediction table at the end.

const AUDIO = 1;
const VIDEO = 2;
const HEADER_BYTES = 9; // kind, then the time of capture as float64
// Beyond these, the network or the service is behind: a late frame is worth less than none.
const FRAME_BACKLOG = 256 * 1024;
const AUDIO_BACKLOG = 4 * 1024 * 1024;

/**
 * Events: `ready` (detail: what the service says of the session), `answer` (detail: {answer, text}),
 * `table` (detail: Blob), `fault` (detail: a sentence), `closed`.
 */
export class Stream extends EventTarget {
  /** @param {string} model @param {{modalities: string[], rate?: number, hop: number}} settings */
  constructor(model, settings) {
    super();
    this.dropped = 0;
    const url = new URL(`v2/models/${encodeURIComponent(model)}/stream`, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.isReady = false;
    this.isEnded = false;
    this.socket.addEventListener("open", () => this.socket.send(JSON.stringify(settings)));
    this.socket.addEventListener("message", ({ data }) => this.#received(data));
    this.socket.addEventListener("close", ({ reason }) => this.#closed(reason));
  }

  /** @param {Float32Array} samples mono @param {number} captured time of the first, seconds */
  sendAudio(samples, captured) {
    this.#send(AUDIO, captured, new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength), AUDIO_BACKLOG);
  }

  /** @param {ArrayBuffer} jpeg @param {number} captured seconds */
  sendFrame(jpeg, captured) {
    this.#send(VIDEO, captured, new Uint8Array(jpeg), FRAME_BACKLOG);
  }

  /** Ask for the last answers and the table; the service then closes. */
  end() {
    if (this.isEnded) return;
    this.isEnded = true;
    if (this.isReady) this.socket.send(JSON.stringify({ end: true }));
    else this.socket.close();
  }

  #send(kind, captured, payload, backlog) {
    if (!this.isReady || this.isEnded) return;
    if (this.socket.bufferedAmount > backlog) {
      this.dropped += 1;
      return;
    }
    const message = new Uint8Array(HEADER_BYTES + payload.length);
    const view = new DataView(message.buffer);
    view.setUint8(0, kind);
    view.setFloat64(1, captured, true);
    message.set(payload, HEADER_BYTES);
    this.socket.send(message);
  }

  #received(data) {
    if (typeof data !== "string") {
      this.#tell("table", new Blob([data]));
      return;
    }
    const message = JSON.parse(data);
    if (message.error) {
      this.#fault(message.error);
    } else if (message.ready) {
      this.isReady = true;
      this.#tell("ready", message);
    } else {
      this.#tell("answer", { answer: message, text: data });
    }
  }

  #closed(reason) {
    if (!this.isEnded) this.#fault(reason || "The service closed the connection.");
    this.isReady = false;
    this.#tell("closed");
  }

  #fault(sentence) {
    this.isEnded = true;
    this.socket.close();
    this.#tell("fault", sentence);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
