// Streaming sample-rate conversion to 16 kHz: a windowed sinc, one row of coefficients per phase. Pure.

const ZERO_CROSSINGS = 16; // on each side; what the filter delays is this many output samples, 1 ms at 16 kHz
const PASS_BAND = 0.94; // of the lower of the two Nyquist frequencies
const MAX_PHASES = 1024; // an odd rate is rounded to the nearest phase: at most 1/2048 of an input sample off

export class Resampler {
  /** Both rates in Hz. */
  constructor(inputRate, outputRate = 16000) {
    this.inputRate = inputRate;
    this.outputRate = outputRate;
    this._step = inputRate / outputRate;
    this._phases = Math.min(MAX_PHASES, outputRate / greatestCommonDivisor(inputRate, outputRate));
    const bandwidth = PASS_BAND * Math.min(1, outputRate / inputRate);
    this._half = Math.ceil(ZERO_CROSSINGS / bandwidth);
    this._rows = makeRows(this._phases, this._half, bandwidth);
    this._input = new Float32Array(this._half); // silence before the first sample
    this._made = 0;
    this._dropped = -this._half; // index of _input[0] among all input samples
  }

  /** Takes the next samples, gives what is complete by now. */
  push(samples) {
    if (this.inputRate === this.outputRate) return samples;
    const input = new Float32Array(this._input.length + samples.length);
    input.set(this._input);
    input.set(samples, this._input.length);
    const last = this._dropped + input.length - 1 - this._half;
    const output = [];
    for (;;) {
      const position = this._made * this._step;
      let whole = Math.floor(position);
      let phase = Math.round((position - whole) * this._phases);
      if (phase === this._phases) [whole, phase] = [whole + 1, 0];
      if (whole > last) break;
      output.push(convolve(input, whole - this._dropped - this._half + 1, this._rows[phase]));
      this._made += 1;
    }
    const keepFrom = Math.max(0, Math.floor(this._made * this._step) - this._half + 1 - this._dropped);
    this._input = input.slice(keepFrom);
    this._dropped += keepFrom;
    return Float32Array.from(output);
  }

  /** Gives what the filter still holds; afterwards the resampler is done. */
  flush() {
    return this.inputRate === this.outputRate ? new Float32Array(0) : this.push(new Float32Array(this._half));
  }
}

/** Samples of -1 to 1 as 16-bit integers; louder ones are clipped. */
export function toInt16(samples) {
  const result = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i += 1) {
    const value = Math.max(-1, Math.min(1, samples[i]));
    result[i] = Math.round(value * 32767);
  }
  return result;
}

function makeRows(phases, half, bandwidth) {
  return Array.from({ length: phases }, (_, phase) => {
    const row = new Float32Array(2 * half);
    let sum = 0;
    for (let tap = 0; tap < row.length; tap += 1) {
      const x = tap - half + 1 - phase / phases; // distance from the output's position, in input samples
      row[tap] = sinc(x * bandwidth) * hann(x / half);
      sum += row[tap];
    }
    return row.map((value) => value / sum); // a constant stays what it is
  });
}

function convolve(input, start, row) {
  let sum = 0;
  for (let tap = 0; tap < row.length; tap += 1) sum += input[start + tap] * row[tap];
  return sum;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function hann(x) {
  return Math.abs(x) >= 1 ? 0 : 0.5 + 0.5 * Math.cos(Math.PI * x);
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
