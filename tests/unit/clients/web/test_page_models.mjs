import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatLog } from "../../../../clients/web/page/chat-log.js";
import { clock, timestamp } from "../../../../clients/web/page/documents.js";
import { languageName } from "../../../../clients/web/page/languages.js";
import { connectionText, noticeFor } from "../../../../clients/web/page/plain-words.js";
import { medianLatencyS, Transcript } from "../../../../clients/web/page/transcript.js";
import { backoffS } from "../../../../clients/web/sdk/backoff.js";
import { fromMediaError } from "../../../../clients/web/sdk/failures.js";

const at = (segment, fields) => ({ segment, channel: 0, ...fields });
const started = (segment, start_s) => at(segment, { type: "speech.started", start_s });
const partial = (segment, stable, text) => at(segment, { type: "transcript.partial", start_s: 1, end_s: 2, stable, text, language: "en" });
const final = (segment, text, total_s = 1, end_s = 2) =>
  at(segment, { type: "transcript.final", start_s: 1, end_s, text, words: [{ text, start_s: 1, end_s }], language: "en", model: "base", times: { total_s } });

test("an utterance is one entry, from its first word to its final", () => {
  const transcript = new Transcript();
  const stream = transcript.beginStream();
  const { entry } = transcript.apply(stream, started(1, 1));
  assert.equal(entry.state, "speaking");
  transcript.apply(stream, partial(1, "and mister", "and mister john"));
  assert.deepEqual([entry.stable, entry.tail], ["and mister", " john"]);
  transcript.apply(stream, at(1, { type: "speech.ended", end_s: 2 }));
  assert.equal(entry.state, "waiting");
  transcript.apply(stream, final(1, "And Mr. John", 0.7));
  assert.deepEqual([entry.state, entry.stable, entry.tail, entry.latency_s], ["final", "And Mr. John", "", 0.7]);
  assert.equal(transcript.entries.length, 1);
});

test("a cough leaves no entry, a failure leaves a mark", () => {
  const transcript = new Transcript();
  const stream = transcript.beginStream();
  const { entry } = transcript.apply(stream, started(1, 1));
  assert.equal(transcript.apply(stream, final(1, " ")).removed, entry);
  transcript.apply(stream, at(2, { type: "transcript.failed", start_s: 3, end_s: 4, code: "decode_failed" }));
  assert.deepEqual(transcript.entries.map(({ state }) => state), ["failed"]);
  assert.deepEqual(transcript.finals, []);
  assert.deepEqual(transcript.apply(stream, at(9, { type: "speech.ended", end_s: 2 })), {});
});

test("the times of a second recording follow those of the first", () => {
  const transcript = new Transcript();
  transcript.apply(transcript.beginStream(), final(1, "one", 1, 10));
  const { entry } = transcript.apply(transcript.beginStream(), final(1, "two", 1, 3));
  assert.deepEqual([entry.start_s, entry.end_s, entry.words[0].end_s], [11, 13, 13]);
});

test("what was begun and will not end is dropped, and what is over can be cleared", () => {
  const transcript = new Transcript();
  const stream = transcript.beginStream();
  transcript.apply(stream, final(1, "one"));
  transcript.apply(stream, started(2, 3));
  assert.equal(transcript.dropOpen(stream).length, 1);
  transcript.apply(stream, started(3, 3));
  assert.equal(transcript.clear().length, 1);
  assert.equal(transcript.entries.length, 1);
});

test("the median is of the latest finals", () => {
  assert.equal(medianLatencyS([]), null);
  assert.equal(medianLatencyS([9, 9, 1, 2, 3].map((latency_s) => ({ latency_s })), 3), 2);
});

test("answers grow, end, and say how", () => {
  const log = new ChatLog();
  log.addYours("hello", "typed");
  const say = (type, fields) => log.apply(1, { type, answer: 1, ...fields });
  const turn = say("chat.started", { model: "m" });
  assert.ok(log.isAnswering);
  say("chat.delta", { text: "He" });
  say("chat.delta", { text: "llo" });
  assert.equal(turn.text, "Hello");
  say("chat.done", { text: "Hello", finish_reason: "length", model: "m", usage: { completion_tokens: 2 }, times: { first_delta_s: 0.12, total_s: 1 } });
  assert.equal(turn.remark, "m: first word after 0.1 s, 2 tokens, cut at its longest");
  assert.equal(log.isAnswering, false);
  say("chat.done", { text: "Hello", finish_reason: "stop", model: "m", usage: { completion_tokens: 2 }, times: { first_delta_s: 0, total_s: 0 } });
  assert.equal(turn.remark, "m: 2 tokens");
});

test("a stopped answer says who stopped it, a failed one can be tried again, one of a lost session ends", () => {
  const log = new ChatLog();
  const end = (answer, type, fields) => log.apply(1, { type, answer, text: "", ...fields });
  assert.match(end(1, "chat.cancelled", { reason: "speech" }).remark, /spoke/);
  assert.equal(end(2, "chat.cancelled", { reason: "other" }).remark, "Stopped");
  const failed = end(3, "chat.failed", { code: "no_worker", retryable: true });
  assert.deepEqual([failed.canRetry, failed.remark], [true, "Nobody is there to answer."]);
  assert.equal(end(4, "chat.failed", { code: "chat_failed", retryable: false }).remark, "The answer broke off.");
  log.apply(2, { type: "chat.started", answer: 1 });
  assert.deepEqual(log.abandon(1), []);
  assert.equal(log.abandon(2).length, 1);
  log.addNote("x");
  log.clear();
  assert.deepEqual(log.turns, []);
});

const afterReload = (model) => new model.constructor(JSON.parse(JSON.stringify(model.toKeep())));

test("after a reload the transcript is what is over of it, and goes on", () => {
  const before = new Transcript();
  const stream = before.beginStream();
  before.apply(stream, final(1, "one", 1, 10));
  before.apply(stream, started(2, 11));
  const transcript = afterReload(before);
  assert.deepEqual(transcript.finals.map(({ text }) => text), ["one"]);
  assert.equal(transcript.apply(stream, final(1, "one")).entry, transcript.entries[0]);
  assert.equal(transcript.apply(transcript.beginStream(), final(1, "two")).entry.start_s, 11);
});

test("after a reload an answer that ran goes on where it is told on, and has ended where it is not", () => {
  const before = new ChatLog();
  before.addYours("hello", "typed");
  before.apply(1, { type: "chat.started", answer: 1 });
  before.apply(1, { type: "chat.delta", answer: 1, text: "He" });
  const log = afterReload(before);
  log.abandon(1);
  assert.equal(log.isAnswering, false);
  const turn = log.apply(1, { type: "chat.delta", answer: 1, text: "llo" });
  assert.deepEqual([turn.text, turn.state, turn.remark, log.turns.length], ["Hello", "running", "", 2]);
});

test("every state has words, and what is not known is told in the service's own", () => {
  for (const state of ["idle", "connecting", "open", "draining", "ending", "ended"]) assert.ok(connectionText({ state })[0]);
  assert.deepEqual(connectionText({ state: "open" }, { isListening: true }), ["Listening", "good"]);
  assert.deepEqual(connectionText({ state: "reconnecting", failure: { code: "overloaded" } }), ["The service is full. Reconnecting…", "bad"]);
  assert.match(connectionText({ state: "reconnecting" })[0], /Reconnecting…/);
  assert.deepEqual(connectionText({ state: "failed", failure: { code: "overloaded" } }), ["The service is full.", "bad"]);
  for (const code of ["idle_timeout", "session_too_long"]) assert.deepEqual(connectionText({ state: "failed", failure: { code } }), ["Ready", "calm"]);
  assert.equal(noticeFor("new_code", "odd").text, "The service says: odd.");
  assert.equal(noticeFor("new_code").text, "");
});

test("a failure of the microphone has a code", () => {
  const code = (name) => fromMediaError({ name }).code;
  assert.deepEqual(
    ["NotAllowedError", "NotFoundError", "OverconstrainedError", "NotReadableError", "OddError"].map(code),
    ["microphone_denied", "no_microphone", "no_microphone", "microphone_busy", "microphone_failed"],
  );
});

test("waits are any part of a bound that doubles", () => {
  assert.deepEqual([1, 2, 3, 10].map((attempt) => backoffS(attempt, 1)), [0.05, 0.1, 0.2, 2]);
  assert.equal(backoffS(10, 0.25), 0.5);
});

test("times are written for programs and for people", () => {
  assert.equal(timestamp(3661.5, ","), "01:01:01,500");
  assert.equal(timestamp(-1, "."), "00:00:00.000");
  assert.deepEqual([7.9, 61, 3661].map(clock), ["0:07", "1:01", "1:01:01"]);
});

test("languages have English names where the browser tells of none that can be understood", () => {
  Object.defineProperty(globalThis, "navigator", { value: { languages: ["C"] }, configurable: true });
  assert.deepEqual(["de", "jw", "xx-not-a-tag-"].map(languageName), ["German", "Javanese", "xx-not-a-tag-"]);
});
