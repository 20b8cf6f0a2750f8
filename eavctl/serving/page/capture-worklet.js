// Runs on the audio thread: mixes the microphone's channels to mono and posts blocks of 40 ms.

const BLOCK_S = 0.04;

class Capture extends AudioWorkletProcessor {
  #block = new Float32Array(Math.round(sampleRate * BLOCK_S));
  #filled = 0;
  #first = 0; // time of the block's first sample on the audio clock

  process([channels]) {
    const n = channels[0]?.length ?? 0; // no channel: the source has not begun
    for (let i = 0; i < n; i += 1) {
      if (this.#filled === 0) this.#first = currentTime + i / sampleRate;
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.#block[this.#filled] = sum / channels.length;
      this.#filled += 1;
      if (this.#filled === this.#block.length) this.#post();
    }
    return true;
  }

  #post() {
    this.port.postMessage({ samples: this.#block, at: this.#first }, [this.#block.buffer]);
    this.#block = new Float32Array(Math.round(sampleRate * BLOCK_S));
    this.#filled = 0;
  }
}

registerProcessor("capture", Capture);
