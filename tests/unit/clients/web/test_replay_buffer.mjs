import assert from "node:assert/strict";
import { test } from "node:test";
import { ReplayBuffer } from "../../../../clients/web/sdk/replay-buffer.js";

const bytes = (...values) => Uint8Array.from(values);
const filled = (maxBytes = 100) => {
  const buffer = new ReplayBuffer({ frameBytes: 2, maxBytes });
  buffer.append(bytes(1, 2, 3, 4));
  buffer.append(bytes(5, 6, 7, 8));
  return buffer;
};
const rest = (buffer, ...limits) => {
  const out = [];
  for (let piece; (piece = buffer.next(...limits)); ) out.push(...piece);
  return out;
};

test("audio is given once, in order, in pieces no larger than asked for", () => {
  const buffer = filled();
  assert.deepEqual([...buffer.next(3)], [1, 2, 3]);
  assert.deepEqual(rest(buffer, 3), [4, 5, 6, 7, 8]);
  assert.equal(buffer.unsentBytes, 0);
  assert.equal(buffer.next(3), null);
});

test("it stops at a mark until that is taken", () => {
  const buffer = filled();
  buffer.mark();
  buffer.append(bytes(9, 10));
  assert.equal(buffer.takeMark(), false);
  assert.deepEqual(rest(buffer, 100), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(buffer.takeMark(), true);
  assert.equal(buffer.takeMark(), false);
  assert.deepEqual(rest(buffer, 100), [9, 10]);
});

test("a mark is due again where the audio before it is, and not where that is settled", () => {
  const buffer = filled();
  buffer.mark();
  rest(buffer, 100);
  buffer.takeMark();
  buffer.rewind(3);
  assert.deepEqual(rest(buffer, 100), [7, 8]);
  assert.equal(buffer.takeMark(), true);
  buffer.rewind(4);
  assert.equal(buffer.takeMark(), false);
  buffer.commit(4);
  buffer.mark();
  assert.equal(buffer.takeMark(), true);
});

test("it can begin in the middle of a stream, with what came meanwhile", () => {
  const buffer = filled();
  buffer.mark();
  buffer.rebase(100);
  assert.deepEqual([buffer.startOffset, buffer.sentOffset, buffer.endOffset], [100, 100, 104]);
  assert.deepEqual(rest(buffer, 100), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(buffer.takeMark(), true);
});

test("what is held can be taken elsewhere", () => {
  const buffer = filled();
  rest(buffer, 100);
  assert.deepEqual([...buffer.since(3)], [7, 8]);
  buffer.commit(2);
  assert.deepEqual([...buffer.since(0)], [5, 6, 7, 8]);
  assert.deepEqual([...buffer.since(9)], []);
});

test("what is committed is forgotten, as far as it was sent", () => {
  const buffer = filled();
  buffer.next(4);
  buffer.commit(4);
  assert.equal(buffer.startOffset, 2);
  assert.equal(buffer.heldBytes, 4);
  buffer.commit(1);
  assert.equal(buffer.startOffset, 2);
});

test("what is not committed can be sent again, from where the service stands", () => {
  const buffer = filled();
  rest(buffer, 100);
  assert.equal(buffer.rewind(3), 3);
  assert.deepEqual(rest(buffer, 100), [7, 8]);
  buffer.commit(2);
  assert.equal(buffer.rewind(0), 2);
  assert.deepEqual(rest(buffer, 100), [5, 6, 7, 8]);
  assert.equal(buffer.rewind(99), 4);
});

test("beyond its bound the oldest is forgotten and counted, sent or not", () => {
  const buffer = filled(6);
  assert.equal(buffer.droppedBytes, 4);
  assert.equal(buffer.startOffset, 2);
  assert.deepEqual(rest(buffer, 100), [5, 6, 7, 8]);
});

test("a chunk larger than the bound is kept: it has just come", () => {
  const buffer = new ReplayBuffer({ frameBytes: 2, maxBytes: 2 });
  buffer.append(bytes(1, 2, 3, 4));
  assert.equal(buffer.droppedBytes, 0);
  assert.deepEqual(rest(buffer, 100), [1, 2, 3, 4]);
});
