import assert from "node:assert/strict";
import { test } from "node:test";
import { Resampler, toInt16 } from "../../../../clients/web/sdk/resampler.js";

const tone = (hz, rate, seconds) => Float32Array.from({ length: rate * seconds }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rate));
const resampled = (input, rate, pieceSamples = 128) => {
  const resampler = new Resampler(rate);
  const output = [];
  for (let at = 0; at < input.length; at += pieceSamples) output.push(...resampler.push(input.slice(at, at + pieceSamples)));
  return Float32Array.from([...output, ...resampler.flush()]);
};
const rms = (samples) => Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);

for (const rate of [8000, 22050, 44100, 48000, 96000]) {
  test(`a tone of 1 kHz stays what it is, from ${rate} Hz`, () => {
    const output = resampled(tone(1000, rate, 1), rate).slice(400, -400);
    const expected = tone(1000, 16000, 1).slice(400, 400 + output.length);
    const error = rms(output.map((value, i) => value - expected[i]));
    assert.ok(error < 0.01, `error ${error}`);
  });
}

test("what 16 kHz cannot hold is taken out, not folded back", () => {
  assert.ok(rms(resampled(tone(9000, 48000, 1), 48000).slice(400, -400)) < 0.01);
  assert.ok(rms(resampled(tone(15000, 48000, 1), 48000).slice(400, -400)) < 0.001);
});

test("how the input is cut into pieces changes nothing", () => {
  const input = tone(440, 44100, 0.5);
  assert.deepEqual(resampled(input, 44100, 128), resampled(input, 44100, 4410));
});

test("a second stays a second", () => {
  for (const rate of [16000, 44100, 48000]) {
    assert.ok(Math.abs(resampled(tone(100, rate, 1), rate).length - 16000) <= 40, String(rate));
  }
});

test("16 kHz passes untouched", () => {
  const input = tone(440, 16000, 0.1);
  assert.deepEqual(resampled(input, 16000), input);
});

test("samples become integers, and loud ones are clipped", () => {
  assert.deepEqual([...toInt16(Float32Array.of(0, 1, -1, 2, -2, 0.5))], [0, 32767, -32767, 32767, -32767, 16384]);
});
