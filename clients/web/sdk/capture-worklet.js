// Runs on the audio thread: whatever the device gives becomes 16-bit mono at 16 kHz, in pieces of 32 ms.
import { Resampler, toInt16 } from "./resampler.js";

const PIECE_SAMPLES = 512;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this._resampler = new Resampler(sampleRate);
    this._piece = new Float32Array(PIECE_SAMPLES);
    this._filled = 0;
    this._open = true;
    this.port.onmessage = () => {
      this._take(this._resampler.flush());
      this._give();
      this._open = false;
      this.port.postMessage({ done: true });
    };
  }

  process([channels]) {
    if (this._open && channels.length) this._take(this._resampler.push(mixed(channels)));
    return this._open;
  }

  _take(samples) {
    for (const sample of samples) {
      this._piece[this._filled] = sample;
      this._filled += 1;
      if (this._filled === PIECE_SAMPLES) this._give();
    }
  }

  _give() {
    const samples = this._piece.subarray(0, this._filled);
    const pcm = toInt16(samples).buffer;
    const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    this._filled = 0;
    if (pcm.byteLength) this.port.postMessage({ pcm, peak }, [pcm]);
  }
}

function mixed(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

registerProcessor("harken-capture", Capture);
