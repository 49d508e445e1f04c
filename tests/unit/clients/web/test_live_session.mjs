import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { LiveSession } from "../../../../clients/web/sdk/live-session.js";

const LIMITS = { max_frame_bytes: 1e6, max_session_s: 1e4, idle_timeout_s: 100, max_buffered_audio_s: 60 };
const STARTED = { type: "session.started", seq: 1, session: "s1", audio_offset: 0, sample_rate: 16000, channels: 1, model: "base", limits: LIMITS, chat_model: null };
const FINAL = { type: "transcript.final", seq: 3, segment: 1, channel: 0, start_s: 0, end_s: 1, text: "one", words: [{ text: "one", start_s: 0, end_s: 1, probability: 1 }], language: "en", model: "base", times: {} };
const SECOND = new Int16Array(16000);

/** A browser whose sockets and timers the test moves by hand. */
class Platform {
  constructor({ admission = [200, ""] } = {}) {
    const platform = this;
    this.sockets = [];
    this.timers = new Map();
    this.now = 0;
    this.performance = { now: () => this.now };
    this.fetch = async () => {
      if (admission === null) throw new TypeError("no network");
      const [status, body, retryAfter = null] = admission;
      return { status, text: async () => body, headers: { get: () => retryAfter } };
    };
    this.WebSocket = class {
      constructor(url, protocols) {
        Object.assign(this, { url, protocols, readyState: 0, bufferedAmount: 0, sent: [] });
        platform.sockets.push(this);
      }
      send(data) {
        this.sent.push(data);
      }
      close() {
        this.readyState = 3;
      }
      open() {
        this.readyState = 1;
        this.onopen({});
      }
      hear(event) {
        this.onmessage({ data: JSON.stringify(event) });
      }
      drop() {
        this.readyState = 3;
        this.onclose({});
      }
      get said() {
        return this.sent.filter((data) => typeof data === "string").map((text) => JSON.parse(text));
      }
      get audioBytes() {
        return this.sent.filter((data) => typeof data !== "string").reduce((sum, data) => sum + data.byteLength, 0);
      }
    };
  }
  setTimeout(act, ms) {
    const id = this.timers.size + 1;
    this.timers.set(id, { act, at: this.now + ms });
    return id;
  }
  clearTimeout(id) {
    this.timers.delete(id);
  }
  /** Lets time pass, and with it what was due. */
  async pass(ms) {
    this.now += ms;
    for (const [id, timer] of [...this.timers]) {
      if (timer.at > this.now) continue;
      this.timers.delete(id);
      timer.act();
    }
    await turn();
  }
  get socket() {
    return this.sockets.at(-1);
  }
}

function opened(options = {}, platform = new Platform()) {
  const session = new LiveSession({ url: "http://host:80/", ...options }, platform);
  const events = [];
  session.on("*", (event) => events.push(event));
  session.open();
  platform.socket.open();
  platform.socket.hear(STARTED);
  return { session, platform, events, states: () => events.filter(({ type }) => type === "state").map(({ state }) => state) };
}

test("it introduces itself, and sends what was recorded before the service was ready", async () => {
  const platform = new Platform();
  const session = new LiveSession({ url: "http://host:80/", language: "en", chat: { auto: false } }, platform);
  session.open();
  session.sendAudio(SECOND);
  assert.equal(platform.socket.url, "ws://host/v1/stream");
  platform.socket.open();
  assert.equal(platform.socket.audioBytes, 0);
  platform.socket.hear(STARTED);
  assert.deepEqual(platform.socket.said, [
    { type: "session.start", audio: { encoding: "linear16", sample_rate: 16000, channels: 1 }, language: "en", chat: { auto: false } },
  ]);
  assert.equal(platform.socket.audioBytes, 32000);
  assert.equal((await session.open()).session, "s1");
});

test("a socket that is full is given no more until it has room", async () => {
  const { session, platform } = opened();
  platform.socket.bufferedAmount = 300_000;
  session.sendAudio(SECOND);
  let isDone = false;
  session.room().then(() => (isDone = true));
  await platform.pass(100);
  assert.equal(platform.socket.audioBytes, 0);
  assert.equal(isDone, false);
  platform.socket.bufferedAmount = 0;
  await platform.pass(100);
  assert.equal(platform.socket.audioBytes, 32000);
  assert.equal(isDone, true);
});

test("an utterance is ended behind the audio that belongs to it", () => {
  const { session, platform } = opened();
  platform.socket.bufferedAmount = 300_000;
  session.sendAudio(SECOND);
  session.commit();
  session.sendAudio(SECOND);
  platform.socket.bufferedAmount = 0;
  session.commit();
  const order = platform.socket.sent.slice(1).map((data) => (typeof data === "string" ? "commit" : data.byteLength));
  assert.deepEqual(order, [32000, "commit", 32000, "commit"]);
});

test("after a lost connection only what is not settled is sent again, and times go on", async () => {
  const { session, platform, events } = opened();
  session.sendAudio(SECOND);
  session.sendAudio(SECOND);
  platform.socket.hear(FINAL);
  platform.socket.drop();
  await turn();
  assert.equal(session.state, "reconnecting");
  session.sendAudio(SECOND);
  await platform.pass(1000);
  platform.socket.open();
  platform.socket.hear(STARTED);
  assert.equal(platform.sockets.length, 2);
  assert.equal(platform.socket.audioBytes, 64000);
  platform.socket.hear({ ...FINAL, text: "two" });
  const second = events.findLast(({ type }) => type === "transcript.final");
  assert.deepEqual([second.segment, second.start_s, second.end_s, second.words[0].start_s], [2, 1, 2, 1]);
  assert.deepEqual(events.find(({ type }) => type === "session.reconnected"), { type: "session.reconnected", replayed_s: 1, lost_s: 0 });
});

test("what is committed is no longer held", () => {
  const { session, platform } = opened();
  session.sendAudio(SECOND);
  platform.socket.hear({ type: "audio.committed", seq: 2, offset: 16000, time_s: 1 });
  assert.equal(session.heldBytes, 0);
});

test("audio that no memory was left for is named as lost", async () => {
  const { session, platform, events } = opened({ replayS: 2 });
  platform.socket.drop();
  await turn();
  for (let i = 0; i < 5; i += 1) session.sendAudio(SECOND);
  assert.equal(events.findLast(({ type }) => type === "audio.dropped").bytes, 96000);
  await platform.pass(1000);
  platform.socket.open();
  platform.socket.hear(STARTED);
  assert.equal(events.find(({ type }) => type === "session.reconnected").lost_s, 3);
});

test("waits between tries grow, end where the network is back, and are given up in the end", async () => {
  const { session, platform, events } = opened({ giveUpS: 20 });
  platform.socket.drop();
  await turn();
  const waits = () => events.filter(({ state }) => state === "reconnecting").map(({ retry_in_s }) => retry_in_s);
  for (const last of [1, 2]) {
    await platform.pass(waits().at(-1) * 1000);
    assert.equal(platform.sockets.length, last + 1);
    platform.socket.drop();
    await turn();
  }
  assert.ok(waits()[0] < waits()[1] && waits()[1] < waits()[2]);
  session.retryNow();
  assert.equal(platform.sockets.length, 4);
  platform.now += 30_000;
  platform.socket.drop();
  await turn();
  assert.equal(session.state, "failed");
  await assert.rejects(session.end(), { code: "network_lost" });
});

test("a refused socket says why, as far as the service tells over HTTP", async () => {
  for (const [admission, code, retryable] of [
    [[401, '{"error":{"code":"unauthorized","message":"no"}}'], "unauthorized", false],
    [[503, '{"error":{"code":"draining","message":"no"}}', "5"], "draining", true],
    [[503, "<html>"], "overloaded", true],
    [[404, ""], "not_harken", false],
    [[200, ""], "network_lost", true],
    [null, "network_lost", true],
  ]) {
    const platform = new Platform({ admission });
    const session = new LiveSession({ url: "ws://host" }, platform);
    const opening = session.open();
    platform.socket.drop();
    await assert.rejects(opening, { code, retryable });
    assert.equal(session.state, "failed");
  }
});

test("a fatal error before the start ends it; one that passes is tried again later", async () => {
  const { session, platform } = opened();
  platform.socket.hear({ type: "error", seq: 2, code: "draining", message: "", retryable: true, fatal: true });
  platform.socket.hear({ type: "session.ended", seq: 3, reason: "error", audio_s: 0, segments: 0 });
  platform.socket.drop();
  await turn();
  assert.equal(session.state, "reconnecting");
  await platform.pass(1000);
  platform.socket.open();
  platform.socket.hear({ type: "error", seq: 1, code: "invalid_message", message: "", retryable: false, fatal: true });
  platform.socket.drop();
  await turn();
  assert.equal(session.state, "failed");
});

test("idleness is no reason to come back", async () => {
  const { session, platform } = opened();
  platform.socket.hear({ type: "error", seq: 2, code: "idle_timeout", message: "", retryable: true, fatal: true });
  platform.socket.drop();
  await turn();
  assert.equal(session.state, "failed");
});

test("the end is said behind the last audio, and heard of when all is there", async () => {
  const { session, platform, states } = opened();
  platform.socket.bufferedAmount = 300_000;
  session.sendAudio(SECOND);
  const ending = session.end();
  session.sendAudio(SECOND);
  assert.equal(platform.socket.said.length, 1);
  platform.socket.bufferedAmount = 0;
  await platform.pass(100);
  assert.equal(platform.socket.audioBytes, 32000);
  assert.equal(platform.socket.said.at(-1).type, "audio.end");
  platform.socket.hear({ type: "session.ended", seq: 2, reason: "audio_end", audio_s: 1, segments: 0 });
  assert.equal((await ending).reason, "audio_end");
  assert.deepEqual(states(), ["connecting", "open", "ending", "ended"]);
});

test("a connection lost while ending is opened again, and the end said again", async () => {
  const { session, platform } = opened();
  session.sendAudio(SECOND);
  session.end();
  platform.socket.drop();
  await turn();
  await platform.pass(1000);
  platform.socket.open();
  platform.socket.hear(STARTED);
  assert.equal(platform.socket.audioBytes, 32000);
  assert.equal(platform.socket.said.at(-1).type, "audio.end");
});

test("a recording is not begun again in its middle", async () => {
  const { session, platform } = opened({ audio: "container" });
  session.sendAudio(new Uint8Array(1000));
  assert.equal(session.heldBytes, 0);
  platform.socket.drop();
  await turn();
  assert.equal(session.state, "failed");
  await assert.rejects(session.room(), { code: "session_over" });
});

test("chat is said at once, or not at all", async () => {
  const { session, platform } = opened({ chat: {} });
  assert.ok(session.sendChat("hello"));
  assert.ok(session.requestAnswer() && session.cancelAnswer() && session.resetChat());
  assert.ok(session.configureChat({ auto: false }));
  assert.deepEqual(platform.socket.said.slice(1), [
    { type: "chat.send", text: "hello", answer: true },
    { type: "chat.request" },
    { type: "chat.cancel" },
    { type: "chat.reset" },
    { type: "chat.configure", auto: false },
  ]);
  platform.socket.drop();
  await turn();
  assert.equal(session.sendChat("hello"), false);
  await platform.pass(1000);
  platform.socket.open();
  assert.deepEqual(platform.socket.said[0].chat, { auto: false });
});

test("a service that does not answer is left after a while", async () => {
  const platform = new Platform();
  const session = new LiveSession({ url: "ws://host" }, platform);
  const opening = session.open();
  platform.socket.open();
  await platform.pass(15_001);
  await assert.rejects(opening, { code: "network_lost" });
});

test("whoever leaves hears nothing more", () => {
  const { session, platform, events } = opened();
  const { socket } = platform;
  session.close();
  const count = events.length;
  socket.hear(FINAL);
  assert.equal(events.length, count);
  assert.equal(session.state, "ended");
});

test("a listener that throws keeps nobody else from hearing, and one that is removed hears no more", async () => {
  const thrown = [];
  const keep = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.once("uncaughtException", (error) => thrown.push(error.message));
  const { session, platform, events } = opened();
  const remove = session.on("transcript.final", () => {
    throw new Error("mine");
  });
  platform.socket.hear(FINAL);
  await turn();
  assert.deepEqual(thrown, ["mine"]);
  assert.equal(events.at(-1).text, "one");
  remove();
  platform.socket.hear(FINAL);
  await turn();
  assert.equal(thrown.length, 1);
  keep.forEach((listener) => process.on("uncaughtException", listener));
});

test("a key travels in the query, or as a subprotocol", () => {
  const platform = new Platform();
  new LiveSession({ url: "https://host/", key: "k&1" }, platform).open();
  assert.equal(platform.socket.url, "wss://host/v1/stream?token=k%261");
  new LiveSession({ url: "wss://host/other", key: "k", keyIn: "protocol" }, platform).open();
  assert.deepEqual([platform.socket.url, platform.socket.protocols], ["wss://host/other", ["token", "k"]]);
});
