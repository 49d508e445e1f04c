import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { LiveSession } from "../../../../clients/web/sdk/live-session.js";

const LIMITS = { max_frame_bytes: 1e6, max_session_s: 1e4, idle_timeout_s: 100, max_buffered_audio_s: 60 };
const STARTED = { type: "session.started", seq: 1, session: "s1", audio_offset: 0, sample_rate: 16000, channels: 1, model: "base", limits: LIMITS, chat_model: null, resume: { token: "t1", within_s: 1e4 } };
const resumed = (audio_offset, seq = 9) => ({ ...STARTED, type: "session.resumed", seq, audio_offset });
const error = (code, retryable) => ({ type: "error", seq: 2, code, message: "", retryable, fatal: true });
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

function opened(options = {}, platform = new Platform(), started = STARTED) {
  const session = new LiveSession({ url: "http://host:80/", ...options }, platform);
  const events = [];
  session.on("*", (event) => events.push(event));
  session.open();
  platform.socket.open();
  platform.socket.hear(started);
  const states = () => events.filter(({ type }) => type === "state").map(({ state }) => state);
  return { session, platform, events, states: () => states().filter((state, i) => state !== states()[i - 1]) };
}

/** A session whose socket was lost; the next one is open and has said what it has. */
async function lost(options) {
  const one = opened(options);
  one.platform.socket.drop();
  await turn();
  await one.platform.pass(2000);
  one.platform.socket.open();
  return one;
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

test("an utterance that was ended by hand is ended there again", async () => {
  const { session, platform } = opened();
  for (let i = 0; i < 3; i += 1) {
    session.sendAudio(SECOND);
    session.commit();
  }
  platform.socket.hear({ type: "audio.committed", seq: 2, offset: 16000, time_s: 1 });
  platform.socket.drop();
  await turn();
  await platform.pass(1000);
  platform.socket.open();
  platform.socket.hear(resumed(24000));
  const order = platform.socket.sent.slice(1).map((data) => (typeof data === "string" ? "commit" : data.byteLength));
  assert.deepEqual(order, [16000, "commit", 32000, "commit"]);
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

test("after a lost connection the session goes on where the service stands, with what it had missed before", async () => {
  const { session, platform, events, states } = opened();
  session.sendAudio(SECOND);
  session.sendAudio(SECOND);
  platform.socket.hear(FINAL);
  platform.socket.hear({ type: "audio.committed", seq: 4, offset: 12000, time_s: 0.75 });
  platform.socket.drop();
  await turn();
  assert.equal(session.state, "reconnecting");
  session.sendAudio(SECOND);
  await platform.pass(50);
  assert.equal(platform.socket.url, "ws://host/v1/stream?resume=1");
  platform.socket.open();
  assert.deepEqual(platform.socket.said, [
    { type: "session.resume", session: "s1", token: "t1", seq: 4, offset: 12000, segments: [1], answer: null },
  ]);
  platform.socket.hear({ ...FINAL, seq: 5, segment: 2, text: "two" });
  assert.equal(platform.socket.audioBytes, 0);
  platform.socket.hear(resumed(24000, 6));
  assert.equal(platform.socket.audioBytes, 48000);
  assert.deepEqual(events.filter(({ type }) => type === "transcript.final").map(({ text }) => text), ["one", "two"]);
  const { replayed_s, lost_s } = events.find(({ type }) => type === "session.resumed");
  assert.deepEqual([replayed_s, lost_s], [0.5, 0]);
  assert.deepEqual(states(), ["connecting", "open", "reconnecting", "open"]);
});

test("a resume that breaks off goes on from what came of it", async () => {
  const { session, platform } = await lost();
  platform.socket.hear({ ...FINAL, seq: 5, segment: 3 });
  platform.socket.drop();
  await turn();
  await platform.pass(2000);
  platform.socket.open();
  assert.deepEqual([platform.socket.said[0].seq, platform.socket.said[0].segments], [5, [3]]);
  assert.equal(session.state, "reconnecting");
});

test("where nobody can take it up yet it is tried again, where nobody ever will it is given up", async () => {
  const { session, platform } = await lost();
  for (const [code, retryable] of [["bus_unavailable", true], ["no_worker", true], ["session_taken", false]]) {
    platform.socket.hear(error(code, retryable));
    platform.socket.hear({ type: "session.ended", seq: 3, reason: "error", audio_s: 0, segments: 0 });
    platform.socket.drop();
    await turn();
    assert.equal(session.state, "reconnecting", code);
    await platform.pass(2000);
    platform.socket.open();
  }
  session.sendAudio(SECOND);
  platform.socket.hear(error("cannot_resume", false));
  platform.socket.drop();
  await turn();
  assert.equal(session.state, "failed");
  await assert.rejects(session.end(), { code: "cannot_resume" });
  assert.equal(session.heldAudio().byteLength, 32000);
  assert.equal(session.snapshot(), null);
});

test("a service that gives no token, or an application that wants none, ends with its socket", async () => {
  for (const [options, started] of [[{}, { ...STARTED, resume: null }], [{ reconnect: false }, STARTED]]) {
    const { session, platform } = opened(options, new Platform(), started);
    platform.socket.drop();
    await turn();
    assert.equal(session.state, "failed");
  }
});

test("of several addresses the next one is dialled", async () => {
  const { platform } = opened({ url: ["ws://one", "ws://two"] });
  platform.socket.drop();
  await turn();
  await platform.pass(50);
  assert.equal(platform.socket.url, "ws://two/v1/stream?resume=1");
  platform.socket.drop();
  await turn();
  await platform.pass(200);
  assert.equal(platform.socket.url, "ws://one/v1/stream?resume=1");
  assert.throws(() => new LiveSession({ url: ["ws://one", "nonsense"] }, platform));
});

test("a gateway that goes away is left once another one has the session", async () => {
  const { session, platform, events, states } = opened();
  const [old] = platform.sockets;
  old.hear({ type: "session.draining", seq: 2, within_s: 10 });
  session.sendAudio(SECOND);
  assert.equal(old.audioBytes, 32000);
  old.hear(FINAL);
  platform.socket.open();
  assert.deepEqual(platform.socket.said[0].segments, [1]);
  old.hear({ ...FINAL, seq: 4, segment: 2 });
  session.sendAudio(SECOND);
  assert.equal(old.readyState, 1);
  platform.socket.hear({ ...FINAL, seq: 4, segment: 2 });
  platform.socket.hear(resumed(16000));
  assert.equal(old.readyState, 3);
  assert.equal(platform.socket.audioBytes, 32000);
  assert.equal(events.filter(({ type }) => type === "transcript.final").length, 2);
  assert.deepEqual(states(), ["connecting", "open", "draining", "open"]);
});

test("where no other gateway is, the one that goes away is used until it is gone", async () => {
  const { session, platform, states } = opened();
  const [old] = platform.sockets;
  old.hear({ type: "session.draining", seq: 2, within_s: 10 });
  platform.socket.drop();
  await turn();
  session.sendAudio(SECOND);
  assert.equal(old.audioBytes, 32000);
  old.hear(error("draining", true));
  old.drop();
  await turn();
  assert.deepEqual(states(), ["connecting", "open", "draining", "reconnecting"]);
  await platform.pass(2000);
  assert.equal(platform.sockets.length, 3);
});

async function speakFor(session, platform, seconds) {
  for (let i = 0; i < seconds; i += 1) {
    session.sendAudio(SECOND);
    await platform.pass(1000);
  }
}

test("a socket on which nothing comes back while audio goes out is followed by another", async () => {
  const { session, platform } = opened();
  const [old] = platform.sockets;
  await speakFor(session, platform, 10);
  old.hear({ type: "audio.committed", seq: 2, offset: 16000, time_s: 1 });
  await speakFor(session, platform, 12);
  assert.equal(session.state, "open");
  await speakFor(session, platform, 1);
  assert.equal(session.state, "reconnecting");
  assert.equal(platform.sockets.length, 2);
  assert.equal(old.readyState, 1);
  platform.socket.open();
  platform.socket.hear(resumed(16000));
  assert.equal(old.readyState, 3);
  assert.equal(platform.socket.audioBytes, 22 * 32000);
});

test("a service that was quiet and speaks again keeps its session, and has longer the next time", async () => {
  const { session, platform } = opened();
  const [old] = platform.sockets;
  await speakFor(session, platform, 13);
  old.hear({ type: "audio.committed", seq: 2, offset: 16000, time_s: 1 });
  assert.equal(session.state, "open");
  assert.equal(platform.socket.readyState, 3);
  await speakFor(session, platform, 24);
  assert.equal(session.state, "open");
  await speakFor(session, platform, 1);
  assert.equal(session.state, "reconnecting");
});

test("whoever sends much at once, or nothing for a while, is not taken for unheard", async () => {
  const { session, platform } = opened();
  for (let i = 0; i < 30; i += 1) session.sendAudio(SECOND);
  await platform.pass(60_000);
  platform.socket.hear({ type: "audio.committed", seq: 2, offset: 16000, time_s: 1 });
  session.sendAudio(SECOND);
  await platform.pass(60_000);
  session.sendAudio(SECOND);
  assert.equal(session.state, "open");
});

test("another page goes on with what this one has, and its audio counts from where the service stands", async () => {
  const first = opened({ chat: {} });
  first.session.sendAudio(SECOND);
  first.platform.socket.hear(FINAL);
  first.platform.socket.hear({ type: "chat.started", seq: 4, answer: 1, model: "m" });
  first.platform.socket.hear({ type: "chat.delta", seq: 5, answer: 1, text: "He" });
  const resume = JSON.parse(JSON.stringify(first.session.snapshot()));
  const platform = new Platform();
  const session = new LiveSession({ url: "ws://host", resume }, platform);
  const opening = session.open();
  session.sendAudio(SECOND);
  platform.socket.open();
  assert.deepEqual(platform.socket.said, [
    { type: "session.resume", session: "s1", token: "t1", seq: 5, offset: 0, segments: [1], answer: { answer: 1, text: "He" } },
  ]);
  platform.socket.hear(resumed(20000, 6));
  assert.equal((await opening).audio_offset, 20000);
  assert.equal(platform.socket.audioBytes, 32000);
  platform.socket.hear({ type: "audio.committed", seq: 7, offset: 36000, time_s: 2.25 });
  assert.equal(session.heldBytes, 0);
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
  assert.equal(platform.socket.said[0].offset, 48000);
  platform.socket.hear(resumed(0));
  assert.equal(events.find(({ type }) => type === "session.resumed").lost_s, 3);
});

test("it is tried again and again, at once where the network is back, and given up in the end", async () => {
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
  assert.ok(waits().every((wait, i) => wait >= 0 && wait <= 0.05 * 2 ** i));
  session.retryNow();
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
    [[502, ""], "network_lost", true],
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

test("a session that is over for good is not taken up again", async () => {
  for (const code of ["idle_timeout", "session_too_long", "session_taken"]) {
    const { session, platform } = opened();
    platform.socket.hear(error(code, code !== "session_taken"));
    platform.socket.drop();
    await turn();
    assert.equal(session.state, "failed", code);
  }
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
  platform.socket.hear(resumed(0));
  assert.equal(platform.socket.audioBytes, 32000);
  assert.equal(platform.socket.said.at(-1).type, "audio.end");
});

test("a recording is not begun again in its middle", async () => {
  const { session, platform } = opened({ audio: "container" }, new Platform(), { ...STARTED, resume: null });
  session.sendAudio(new Uint8Array(1000));
  assert.equal(session.heldBytes, 0);
  platform.socket.drop();
  await turn();
  assert.equal(session.state, "failed");
  await assert.rejects(session.room(), { code: "session_over" });
});

test("chat is said at once, and what the service has not stored is said again", async () => {
  const { session, platform } = opened({ chat: {} });
  assert.ok(session.sendChat("hello") && session.sendChat("you", { answer: false }));
  assert.ok(session.cancelAnswer() && session.resetChat() && session.configureChat({ auto: false }));
  const [hello, you, ...rest] = platform.socket.said.slice(1);
  assert.deepEqual([hello.text, hello.answer, you.text, you.answer], ["hello", true, "you", false]);
  assert.notEqual(hello.id, you.id);
  assert.deepEqual(rest, [{ type: "chat.cancel" }, { type: "chat.reset" }, { type: "chat.configure", auto: false }]);
  platform.socket.hear({ type: "chat.turn", seq: 2, turn: 1, source: "typed", segment: null, id: hello.id });
  platform.socket.drop();
  await turn();
  assert.ok(session.requestAnswer());
  session.sendAudio(SECOND);
  await platform.pass(1000);
  platform.socket.open();
  assert.equal(platform.socket.sent.length, 1);
  platform.socket.hear(resumed(0));
  assert.equal(platform.socket.sent[1].byteLength, 32000);
  assert.deepEqual(platform.socket.said.slice(1).map(({ type, text }) => text ?? type), ["you", "chat.request"]);
});

test("the answer that runs is stopped, and no other", () => {
  const { session, platform } = opened({ chat: {} });
  session.cancelAnswer();
  platform.socket.hear({ type: "chat.started", seq: 2, answer: 3, model: "m", id: null });
  session.cancelAnswer();
  assert.deepEqual(platform.socket.said.slice(1), [{ type: "chat.cancel" }, { type: "chat.cancel", answer: 3 }]);
});

test("nothing is said in a session that ends", async () => {
  const { session, platform } = opened({ chat: {} });
  session.end();
  assert.equal(session.sendChat("hello"), false);
  assert.deepEqual(platform.socket.said.map(({ type }) => type), ["session.start", "audio.end"]);
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
