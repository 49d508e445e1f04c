import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatOutbox } from "../../../../clients/web/sdk/chat-outbox.js";
import { Progress } from "../../../../clients/web/sdk/progress.js";

const started = (fields) => ({ type: "session.started", seq: 1, session: "s1", channels: 2, resume: { token: "t1" }, ...fields });
const begun = (...events) => {
  const progress = new Progress();
  [started(), ...events].forEach((event) => progress.take(event));
  return progress;
};

test("a session without a token cannot be taken up", () => {
  const progress = new Progress();
  assert.equal(progress.canResume, false);
  progress.take(started({ resume: null }));
  assert.equal(progress.canResume, false);
  assert.equal(progress.snapshot(), null);
});

test("it knows of each channel the newest segment that is over", () => {
  const progress = begun(
    { type: "transcript.final", seq: 2, segment: 3, channel: 1, end_s: 2 },
    { type: "transcript.failed", seq: 3, segment: 2, channel: 0, end_s: 1 },
    { type: "session.resumed", seq: 4, session: "s1", channels: 2, resume: { token: "t2" } },
  );
  const { segments, token, seq } = progress.resumption(0);
  assert.deepEqual([segments, token, seq], [[2, 3], "t2", 4]);
});

test("audio is offered from what is committed, or from what is still held", () => {
  const progress = begun({ type: "audio.committed", seq: 2, offset: 100, time_s: 0 });
  assert.equal(progress.resumption(20).offset, 100);
  assert.equal(progress.resumption(120).offset, 120);
});

test("what is stored is settled, whether its commit came or not", () => {
  const progress = begun({ type: "transcript.final", seq: 2, segment: 1, channel: 0, end_s: 1.5 });
  assert.equal(progress.settledOffset, 24000);
  progress.take({ type: "audio.committed", seq: 3, offset: 16000, time_s: 1 });
  assert.equal(progress.settledOffset, 24000);
});

test("of the newest answer it has the deltas, until that has an end", () => {
  const progress = begun({ type: "chat.started", seq: 2, answer: 1 });
  assert.deepEqual(progress.resumption(0).answer, { answer: 1, text: "" });
  assert.equal(progress.runningAnswer, 1);
  progress.take({ type: "chat.delta", seq: 3, answer: 1, text: "a" });
  progress.take({ type: "chat.delta", seq: 4, answer: 1, text: "b" });
  assert.deepEqual(progress.resumption(0).answer, { answer: 1, text: "ab" });
  for (const type of ["chat.done", "chat.cancelled", "chat.failed"]) {
    progress.take({ type, seq: 5, answer: 1, text: "ab" });
    assert.deepEqual(progress.resumption(0).answer, { answer: 1, text: null });
    assert.equal(progress.runningAnswer, undefined);
  }
  progress.take({ type: "chat.delta", seq: 6, answer: 2, text: "c" });
  assert.deepEqual(progress.resumption(0).answer, { answer: 2, text: "c" });
});

test("a page that follows has what this one had", () => {
  const progress = begun({ type: "chat.started", seq: 7, answer: 1 });
  const next = new Progress(progress.snapshot());
  assert.ok(next.canResume);
  assert.deepEqual(next.resumption(0), progress.resumption(0));
});

const all = (outbox) => {
  const messages = [];
  for (let message; (message = outbox.next()); ) messages.push(message);
  return messages;
};
const send = (text) => ({ type: "chat.send", text });

test("a turn is said again until it is stored", () => {
  const outbox = new ChatOutbox("x");
  outbox.add(send("one"));
  outbox.add(send("two"));
  assert.deepEqual(all(outbox).map(({ id }) => id), ["x-1", "x-2"]);
  outbox.take({ type: "chat.turn", id: null });
  outbox.take({ type: "chat.turn", id: "x-1" });
  assert.deepEqual(all(outbox), []);
  outbox.rewind();
  assert.deepEqual(all(outbox).map(({ text }) => text), ["two"]);
});

test("a wish for an answer is said again until there is one, there cannot be one, or it is taken back", () => {
  for (const end of [{ type: "chat.started" }, { type: "chat.failed" }, { type: "error", code: "nothing_to_answer" }]) {
    const outbox = new ChatOutbox("x");
    outbox.add({ type: "chat.request" });
    outbox.take(end);
    assert.equal(all(outbox).length, 1, "it was not sent yet");
    outbox.take({ type: "error", code: "no_worker" });
    outbox.rewind();
    assert.equal(all(outbox).length, 1);
    outbox.take(end);
    outbox.rewind();
    assert.deepEqual(all(outbox), [], end.type);
  }
  const outbox = new ChatOutbox("x");
  outbox.add({ type: "chat.request" });
  outbox.add({ type: "chat.cancel" });
  assert.deepEqual(all(outbox), [{ type: "chat.cancel" }]);
});

test("an answer is stopped again until it has an end, and none but that one", () => {
  for (const type of ["chat.done", "chat.cancelled", "chat.failed"]) {
    const outbox = new ChatOutbox("x");
    outbox.add({ type: "chat.cancel", answer: 2 });
    assert.equal(all(outbox).length, 1);
    outbox.take({ type, answer: 1 });
    outbox.rewind();
    assert.deepEqual(all(outbox), [{ type: "chat.cancel", answer: 2 }]);
    outbox.take({ type, answer: 2 });
    outbox.rewind();
    assert.deepEqual(all(outbox), []);
  }
});

test("what nobody acknowledges is said once", () => {
  const outbox = new ChatOutbox("x");
  outbox.add({ type: "chat.configure", auto: false });
  outbox.take({ type: "chat.turn", source: "speech" });
  assert.equal(all(outbox).length, 1);
  outbox.rewind();
  assert.deepEqual(all(outbox), []);
});

test("no more is kept than somebody can have typed", () => {
  const outbox = new ChatOutbox("x");
  for (let i = 0; i < 64; i += 1) assert.ok(outbox.add(send("x")));
  assert.equal(outbox.add(send("y")), false);
});
