// A live session: one stream of audio and chat, over as many sockets as the network makes of it.
import { backoffS } from "./backoff.js";
import { fromAdmission, fromErrorEvent, HarkenFailure, networkLost } from "./failures.js";
import { Listeners } from "./listeners.js";
import { admissionAddress, sessionStart, socketAddress } from "./messages.js";
import { ReplayBuffer } from "./replay-buffer.js";
import { Timeline } from "./timeline.js";

const PCM_RATE = 16000;
const PCM_FRAME_BYTES = 2;
const FRAME_BYTES = 32 * 1024; // of one WebSocket frame: far below the service's limit, a second of speech
const HIGH_WATER_BYTES = 256 * 1024; // bufferedAmount above which nothing more is handed to the socket
const ROOM_CHECK_MS = 20; // a WebSocket has no event for a falling bufferedAmount
const REPLAY_S = 600;
const GIVE_UP_S = 300;
const OPEN_WITHIN_S = 15;
const NO_RECONNECT = new Set(["idle_timeout", "client_too_slow"]);

export class LiveSession {
  /** See harken.d.ts. `platform` stands in for the browser in tests. */
  constructor(options, platform = globalThis) {
    this._options = { ...options, ...(options.chat && { chat: { ...options.chat } }) };
    this._platform = platform;
    this._listeners = new Listeners();
    this._isPcm = (options.audio ?? "pcm") === "pcm";
    this._mayReconnect = options.reconnect ?? options.audio !== "container"; // half a file has no head
    this._audio = new ReplayBuffer({
      frameBytes: this._isPcm ? PCM_FRAME_BYTES : 1,
      maxBytes: (options.replayS ?? REPLAY_S) * PCM_RATE * PCM_FRAME_BYTES,
    });
    this._timeline = new Timeline(PCM_RATE);
    this._commitsAt = []; // offsets at which the client ended an utterance by hand
    this._waiting = []; // for room
    this._attempt = 0;
    this._wasOpen = false;
    this._isEnding = false;
    this._retryTimer = 0;
    this._pumpTimer = 0;
    /** "idle", "connecting", "open", "draining", "reconnecting", "ending", "ended" or "failed". */
    this.state = "idle";
    this._opened = deferred();
    this._ended = deferred();
  }

  on(type, listener) {
    return this._listeners.on(type, listener);
  }

  /** Resolves with `session.started`; rejects with a HarkenFailure. */
  open() {
    if (this.state === "idle") this._dial();
    return this._opened.promise;
  }

  /** Bytes of audio, in the order in which they were recorded. Never blocks; wait for `room()` where a file is sent. */
  sendAudio(data) {
    if (this._isEnding || this.state === "ended" || this.state === "failed") return;
    const droppedBytes = this._audio.droppedBytes;
    this._audio.append(asBytes(data));
    if (this._audio.droppedBytes > droppedBytes) this._emit({ type: "audio.dropped", bytes: this._audio.droppedBytes });
    this._pump();
  }

  /** Resolves when what was handed over so far is on its way; rejects once the session is over. */
  room() {
    if (this.state === "ended" || this.state === "failed") return Promise.reject(sessionOver());
    if (this._audio.unsentBytes === 0) return Promise.resolve();
    const wait = deferred();
    this._waiting.push(wait);
    return wait.promise;
  }

  /** The open utterance ends with what was handed over so far. */
  commit() {
    this._commitsAt.push(this._audio.endOffset);
    this._pump();
  }

  /** No more audio: resolves with `session.ended` once all finals and the running answer have come. */
  end() {
    this._isEnding = true;
    if (this.state === "open" || this.state === "draining") this._become("ending");
    if (this.state === "idle") this._finish({ type: "session.ended", reason: "never_opened", audio_s: 0, segments: 0 });
    this._pump();
    return this._ended.promise;
  }

  /** Leaves at once; what is on its way is lost to this client, though still stored by the service. */
  close() {
    if (this.state === "ended" || this.state === "failed") return;
    const socket = this._socket;
    this._finish({ type: "session.ended", reason: "closed", audio_s: 0, segments: 0 });
    socket?.close(1000);
  }

  /** Dial now instead of when the wait is over, because the network is back. */
  retryNow() {
    if (this.state !== "reconnecting" || this._socket) return;
    this._platform.clearTimeout(this._retryTimer);
    this._dial();
  }

  sendChat(text, { answer = true } = {}) {
    return this._say({ type: "chat.send", text, answer });
  }

  requestAnswer() {
    return this._say({ type: "chat.request" });
  }

  cancelAnswer() {
    return this._say({ type: "chat.cancel" });
  }

  configureChat(changes) {
    Object.assign((this._options.chat ??= {}), changes);
    return this._say({ type: "chat.configure", ...changes });
  }

  resetChat() {
    return this._say({ type: "chat.reset" });
  }

  /** Bytes that wait, in this object and in the socket. */
  get bufferedBytes() {
    return this._audio.unsentBytes + (this._socket?.bufferedAmount ?? 0);
  }

  /** Bytes kept because the service has not committed them yet. */
  get heldBytes() {
    return this._audio.heldBytes;
  }

  _dial() {
    if (this.state === "idle") this._become("connecting");
    const { url, protocols } = socketAddress(this._options);
    const socket = new this._platform.WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    this._socket = socket;
    this._fatal = null;
    this._isStarted = false;
    const tooLong = this._platform.setTimeout(() => !this._isStarted && this._drop(socket), OPEN_WITHIN_S * 1000);
    const forThis = (act) => (event) => socket === this._socket && act(event);
    socket.onopen = forThis(() => socket.send(JSON.stringify(sessionStart(this._options))));
    socket.onmessage = forThis((message) => this._hear(JSON.parse(message.data)));
    socket.onclose = forThis(() => {
      this._platform.clearTimeout(tooLong);
      this._socket = null;
      this._lost();
    });
  }

  _drop(socket) {
    if (socket !== this._socket) return;
    this._socket = null;
    socket.close();
    this._lost();
  }

  _hear(event) {
    if (event.type === "session.started") return this._start(event);
    const placed = this._timeline.place(event);
    if (event.type === "audio.committed" && this._isPcm) this._audio.commit(placed.offset);
    if (event.type === "session.draining" && this.state === "open") this._become("draining");
    if (event.type === "error" && event.fatal) this._fatal = fromErrorEvent(event);
    else if (event.type === "session.ended") this._endedBy(placed);
    else this._emit(placed);
  }

  _start(event) {
    const isAgain = this._wasOpen;
    const settled = this._timeline.settledOffset;
    const sent = this._audio.sentOffset;
    const from = this._isPcm ? this._audio.rewind(settled) : 0;
    this._timeline.restartAt(from);
    this._commitsAt = this._commitsAt.filter((offset) => offset > from);
    this._isStarted = true;
    this._wasOpen = true;
    this._attempt = 0;
    this.limits = event.limits;
    this._become(this._isEnding ? "ending" : "open");
    this._emit(event);
    if (isAgain) {
      const seconds = (frames) => Math.max(0, frames) / PCM_RATE;
      this._emit({ type: "session.reconnected", replayed_s: seconds(sent - from), lost_s: seconds(from - settled) });
    }
    this._opened.resolve(event);
    this._pump();
  }

  _endedBy(event) {
    if (this._fatal) return; // the socket closes next, and whether another one follows is decided there
    const socket = this._socket;
    this._finish(event);
    socket?.close(1000);
  }

  async _lost() {
    if (this.state === "ended" || this.state === "failed") return;
    const failure = this._fatal ?? (this._isStarted ? networkLost() : await this._refusal());
    if (this.state === "ended" || this.state === "failed") return;
    const mayRetry = failure.retryable && !NO_RECONNECT.has(failure.code) && this._mayReconnect;
    if (!this._wasOpen || !mayRetry) return this._fail(failure);
    this._lostAt = this._attempt === 0 ? this._now() : this._lostAt;
    if (this._now() - this._lostAt > (this._options.giveUpS ?? GIVE_UP_S) * 1000) return this._fail(failure);
    this._attempt += 1;
    const waitS = backoffS(this._attempt, Math.random, failure.retryAfterS);
    this._retryTimer = this._platform.setTimeout(() => this._dial(), waitS * 1000);
    this._become("reconnecting", { failure, attempt: this._attempt, retry_in_s: waitS });
  }

  async _refusal() {
    const { url, key } = this._options;
    try {
      const answer = await this._platform.fetch(admissionAddress(url), {
        headers: key ? { Authorization: `Bearer ${key}` } : {},
        cache: "no-store",
      });
      return fromAdmission(answer.status, answer.headers.get("Retry-After"), await answer.text()) ?? networkLost();
    } catch {
      return networkLost();
    }
  }

  _pump() {
    const socket = this._socket;
    if (!socket || !this._isStarted || socket.readyState !== 1) return;
    while (socket.bufferedAmount < HIGH_WATER_BYTES) {
      const piece = this._audio.next(FRAME_BYTES, this._commitsAt[0]);
      if (piece) socket.send(piece);
      else if (this._commitsAt.length && this._commitsAt[0] <= this._audio.sentOffset) {
        this._commitsAt.shift();
        socket.send('{"type":"audio.commit"}');
      } else break;
    }
    if (!this._isPcm) this._audio.commit(this._audio.sentOffset); // a file is not sent again
    if (this._audio.unsentBytes) return this._pumpLater();
    for (const wait of this._waiting.splice(0)) wait.resolve();
    if (this._isEnding && this._endSentOn !== socket) {
      this._endSentOn = socket;
      socket.send('{"type":"audio.end"}');
    }
  }

  _pumpLater() {
    this._platform.clearTimeout(this._pumpTimer);
    this._pumpTimer = this._platform.setTimeout(() => this._pump(), ROOM_CHECK_MS);
  }

  _say(message) {
    if (!this._isStarted || this._socket?.readyState !== 1) return false;
    this._socket.send(JSON.stringify(message));
    return true;
  }

  _fail(failure) {
    this._become("failed", { failure });
    this._settle(failure);
    this._opened.reject(failure);
    this._ended.reject(failure);
  }

  _finish(event) {
    this._become("ended");
    this._settle(sessionOver());
    this._emit(event);
    this._opened.reject(sessionOver());
    this._ended.resolve(event);
  }

  _settle(reason) {
    this._socket = null;
    this._platform.clearTimeout(this._retryTimer);
    this._platform.clearTimeout(this._pumpTimer);
    for (const wait of this._waiting.splice(0)) wait.reject(reason);
  }

  _become(state, details = {}) {
    this.state = state;
    this._emit({ type: "state", state, ...details });
  }

  _emit(event) {
    this._listeners.emit(event);
  }

  _now() {
    return this._platform.performance.now();
  }
}

function sessionOver() {
  return new HarkenFailure("session_over", "the session is over");
}

function asBytes(data) {
  return data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function deferred() {
  const result = {};
  result.promise = new Promise((resolve, reject) => Object.assign(result, { resolve, reject }));
  result.promise.catch(() => {}); // whoever waits hears of it; who does not need not
  return result;
}
