// Camera and microphone: mono samples and JPEG frames, each with its time of capture on the page's clock.

import { Failure } from "./failure.js";

const WANTED_RATE = 16000;
const FRAMES_A_SECOND = 10;
const JPEG_QUALITY = 0.85;
// A browser's voice processing changes loudness and timbre, which the models judge by.
const MICROPHONE = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const CAMERA = { width: 640, height: 480, facingMode: "user" };

export class Recorder {
  #media;
  #context = null;
  #canvas = document.createElement("canvas");
  #isSending = false;

  /** The samples a second that the browser really gives; none without a microphone. */
  rate = undefined;
  /** @type {(samples: Float32Array, captured: number) => void} */
  onSamples = () => {};
  /** @type {(jpeg: ArrayBuffer, captured: number) => void} */
  onFrame = () => {};
  /** Called where a device is unplugged or its permission is taken back. */
  onLost = () => {};

  /** @param {MediaStream} media */
  constructor(media) {
    this.#media = media;
    for (const track of media.getTracks()) track.addEventListener("ended", () => this.onLost());
  }

  /**
   * Ask for the devices and start them; nothing is given out before `onSamples` and `onFrame` are set.
   * @param {string[]} modalities audio, video
   * @param {HTMLVideoElement} preview shows the camera
   */
  static async open(modalities, preview) {
    if (!navigator.mediaDevices) throw new Failure("The browser gives camera and microphone to https and localhost only.");
    const media = await navigator.mediaDevices.getUserMedia({
      audio: modalities.includes("audio") && MICROPHONE,
      video: modalities.includes("video") && CAMERA,
    });
    const recorder = new Recorder(media);
    try {
      if (modalities.includes("audio")) await recorder.#listen();
      if (modalities.includes("video")) await recorder.#watch(preview);
    } catch (error) {
      recorder.close();
      throw error;
    }
    return recorder;
  }

  close() {
    for (const track of this.#media.getTracks()) track.stop();
    this.#context?.close();
    this.#context = null;
  }

  async #listen() {
    const source = await this.#source();
    const context = this.#context;
    await context.audioWorklet.addModule(new URL("capture-worklet.js", import.meta.url));
    const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    this.rate = context.sampleRate;
    let zero = null; // the audio clock's zero on the page's clock
    capture.port.onmessage = ({ data: { samples, at } }) => {
      zero ??= performance.now() / 1000 - samples.length / this.rate - at;
      this.onSamples(samples, zero + at);
    };
    source.connect(capture);
    context.resume(); // some browsers suspend a context that a click did not make
  }

  /** The microphone in an audio context of the wanted rate, or of its own where the browser cannot resample it. */
  async #source() {
    const only = new MediaStream(this.#media.getAudioTracks());
    this.#context = new AudioContext({ sampleRate: WANTED_RATE });
    try {
      return this.#context.createMediaStreamSource(only);
    } catch {
      await this.#context.close();
      this.#context = new AudioContext();
      return this.#context.createMediaStreamSource(only);
    }
  }

  async #watch(preview) {
    preview.srcObject = this.#media;
    await preview.play();
    let next = 0;
    const frame = (now, { captureTime }) => {
      if (!this.#media.active) return;
      if (now >= next && !this.#isSending) {
        next = now + 1000 / FRAMES_A_SECOND - 5; // 5 ms: a frame that is early by its jitter still counts
        this.#encode(preview, (captureTime ?? now) / 1000);
      }
      preview.requestVideoFrameCallback(frame);
    };
    preview.requestVideoFrameCallback(frame);
  }

  /** One frame at a time: an encoder that is slower than the camera lowers the rate, and fills no memory. */
  #encode(picture, captured) {
    this.#isSending = true;
    this.#canvas.width = picture.videoWidth;
    this.#canvas.height = picture.videoHeight;
    this.#canvas.getContext("2d", { alpha: false }).drawImage(picture, 0, 0);
    this.#canvas.toBlob(
      async (blob) => {
        if (blob) this.onFrame(await blob.arrayBuffer(), captured);
        this.#isSending = false;
      },
      "image/jpeg",
      JPEG_QUALITY,
    );
  }
}
