// A live session: one stream of audio and chat, over as many sockets and gateways as it takes.
import { backoffS } from "./backoff.js";
import { ChatOutbox } from "./chat-outbox.js";
import { fromAdmission, fromErrorEvent, HarkenFailure, networkLost } from "./failures.js";
import { Link } from "./link.js";
import { Listeners } from "./listeners.js";
import { admissionAddress, sessionStart, socketAddress } from "./messages.js";
import { Progress } from "./progress.js";
import { ReplayBuffer } from "./replay-buffer.js";

const PCM_RATE = 16000;
const PCM_FRAME_BYTES = 2;
const FRAME_BYTES = 32 * 1024; // of one WebSocket frame: far below the service's limit, a second of speech
const HIGH_WATER_BYTES = 256 * 1024; // bufferedAmount above which nothing more is handed to the socket
const ROOM_CHECK_MS = 20; // a WebSocket has no event for a falling bufferedAmount
const REPLAY_S = 600;
const GIVE_UP_S = 300;
const OPEN_WITHIN_S = 15;
const RESUME_WITHIN_S = 5;
const QUIET_S = 12; // a service that hears audio says something every few seconds: a partial, or how far silence goes
const LONGEST_QUIET_S = 48;
const ENDS_IT = new Set(["idle_timeout", "session_too_long"]); // a new session may follow, not this one

export class LiveSession {
  /** See harken.d.ts. `platform` stands in for the browser in tests. */
  constructor(options, platform = globalThis) {
    this._options = { ...options, ...(options.chat && { chat: { ...options.chat } }) };
    this._platform = platform;
    this._urls = [options.url].flat();
    for (const url of this._urls) socketAddress(url, options); // throws now rather than later
    this._listeners = new Listeners();
    this._isPcm = (options.audio ?? "pcm") === "pcm";
    this._audio = new ReplayBuffer({
      frameBytes: this._isPcm ? PCM_FRAME_BYTES : 1,
      maxBytes: (options.replayS ?? REPLAY_S) * PCM_RATE * PCM_FRAME_BYTES,
    });
    this._progress = new Progress(options.resume);
    this._isOfEarlierPage = this._progress.canResume;
    this._chat = new ChatOutbox(Math.random().toString(36).slice(2));
    this._link = null; // where the session is
    this._dialled = null; // the one that shall follow, until its socket is open
    this._left = null; // the one before, open until the service has told that we are in
    this._waiting = []; // for room
    this._urlIndex = 0;
    this._attempt = 0;
    this._isEnding = false;
    this._unheardBytes = 0; // of audio, since anything was heard
    this._quietLimitS = QUIET_S;
    /** "idle", "connecting", "open", "draining", "reconnecting", "ending", "ended" or "failed". */
    this.state = "idle";
    this._opened = deferred();
    this._ended = deferred();
  }

  on(type, listener) {
    return this._listeners.on(type, listener);
  }

  /** Resolves with `session.started` or `session.resumed`; rejects with a HarkenFailure. */
  open() {
    if (this.state === "idle") {
      this._become("connecting");
      this._dial();
    }
    return this._opened.promise;
  }

  /** Bytes of audio, in the order in which they were recorded. Never blocks; wait for `room()` where a file is sent. */
  sendAudio(data) {
    if (this._isEnding || this._isOver) return;
    const droppedBytes = this._audio.droppedBytes;
    const bytes = asBytes(data);
    this._audio.append(bytes);
    if (this._audio.droppedBytes > droppedBytes) this._emit({ type: "audio.dropped", bytes: this._audio.droppedBytes });
    this._pump();
    this._noteQuiet(bytes.byteLength);
  }

  /** Resolves when what was handed over so far is on its way; rejects once the session is over. */
  room() {
    if (this._isOver) return Promise.reject(sessionOver());
    if (this._audio.unsentBytes === 0) return Promise.resolve();
    const wait = deferred();
    this._waiting.push(wait);
    return wait.promise;
  }

  /** The open utterance ends with what was handed over so far. */
  commit() {
    this._audio.mark();
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
    if (!this._isOver) this._finish({ type: "session.ended", reason: "closed", audio_s: 0, segments: 0 });
  }

  /** Dial now instead of when the wait is over, because the network is back. */
  retryNow() {
    if (this.state === "reconnecting") this._dial();
  }

  sendChat(text, { answer = true } = {}) {
    return this._say({ type: "chat.send", text, answer });
  }

  requestAnswer() {
    return this._say({ type: "chat.request" });
  }

  cancelAnswer() {
    const answer = this._progress.runningAnswer; // named, so that it never stops the one after it
    return this._say({ type: "chat.cancel", ...(answer && { answer }) });
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
    return this._audio.unsentBytes + (this._link?.bufferedBytes ?? 0);
  }

  /** Bytes kept because the service has not committed them yet. */
  get heldBytes() {
    return this._audio.heldBytes;
  }

  /** The audio that the service has not stored as text, as far as this client knows. */
  heldAudio() {
    return this._audio.since(this._progress.settledOffset);
  }

  /** For `resume` of a session in another page; null where it cannot be taken up. */
  snapshot() {
    return this._isOver || this._isEnding ? null : this._progress.snapshot();
  }

  get _isOver() {
    return this.state === "ended" || this.state === "failed";
  }

  get _mayResume() {
    return this._progress.canResume && (this._options.reconnect ?? true);
  }

  _dial() {
    this._platform.clearTimeout(this._retryTimer);
    if (this._dialled) return;
    const isResume = this._mayResume;
    const url = this._urls[this._urlIndex % this._urls.length];
    const link = new Link(socketAddress(url, this._options, isResume), this._platform, {
      withinS: isResume ? RESUME_WITHIN_S : OPEN_WITHIN_S,
      hello: () => {
        this._moveTo(link);
        return isResume ? this._progress.resumption(this._audio.startOffset) : sessionStart(this._options);
      },
      onEvent: (event) => this._hear(link, event),
      onGone: () => this._lost(link, url),
    });
    this._dialled = link;
  }

  /** From here on nothing that the one before says counts: it is told again. It stays open as long as it may be needed. */
  _moveTo(link) {
    this._left = this._link;
    this._left?.mute();
    this._link = link;
    this._dialled = null;
  }

  _hear(link, event) {
    this._unheardBytes = 0;
    this._progress.take(event);
    this._chat.take(event);
    if (this.state === "reconnecting" && link.isReady) this._stay();
    switch (event.type) {
      case "session.started":
      case "session.resumed":
        return this._enter(link, event);
      case "session.ended":
        return link.failure ? undefined : this._finish(event); // else the socket closes next, and that decides
      case "error":
        if (event.fatal) link.failure = fromErrorEvent(event);
        else this._emit(event);
        return;
      case "audio.committed":
        if (this._isPcm) this._audio.commit(event.offset);
        break;
      case "session.draining":
        if (this.state === "open") this._become("draining");
        this._goElsewhere();
        break;
    }
    this._emit(event);
  }

  _enter(link, event) {
    link.isReady = true;
    this._leave("_left");
    this._attempt = 0;
    this.limits = event.limits;
    const moved = event.type === "session.resumed" ? this._goBackTo(event.audio_offset) : {};
    this._become(this._isEnding ? "ending" : "open");
    this._emit({ ...event, ...moved });
    this._opened.resolve(event);
    this._pump();
  }

  _goBackTo(offset) {
    if (this._isOfEarlierPage) this._audio.rebase(offset);
    this._isOfEarlierPage = false;
    const sent = this._audio.sentOffset;
    const from = this._audio.rewind(offset);
    this._chat.rewind();
    const seconds = (frames) => Math.max(0, frames) / PCM_RATE;
    return { replayed_s: seconds(sent - from), lost_s: seconds(from - offset) };
  }

  /** Audio goes out and nothing comes back: the socket may be dead, though nobody has closed it. */
  _noteQuiet(bytes) {
    if (this.state !== "open") return;
    if (this._unheardBytes === 0) this._unheardSince = this._now();
    this._unheardBytes += bytes;
    const limitS = this._quietLimitS;
    if (this._unheardBytes < limitS * PCM_RATE * PCM_FRAME_BYTES || this._now() - this._unheardSince < limitS * 1000) return;
    this._quietLimitS = Math.min(LONGEST_QUIET_S, 2 * limitS); // it may be very busy, and a move makes more work
    if (this._mayResume) this._retry(networkLost());
  }

  /** The gateway that was quiet speaks again. */
  _stay() {
    this._platform.clearTimeout(this._retryTimer);
    this._leave("_dialled");
    this._attempt = 0;
    this._become("open");
  }

  _goElsewhere() {
    if (!this._mayResume) return;
    this._urlIndex += 1;
    this._dial();
  }

  async _lost(link, url) {
    this._urlIndex += 1;
    if (link === this._dialled) this._dialled = null;
    else {
      this._link = null;
      this._leave("_left");
    }
    const failure = link.failure ?? (link.isReady ? networkLost() : await this._refusal(url));
    if (this._isOver) return;
    // Of two sockets of ours, one given up for its silence, the other one may have been faster.
    const isOurs = failure.code === "session_taken" && !link.isReady;
    this._retry(isOurs ? networkLost() : failure);
  }

  _retry(failure) {
    if (!this._mayResume || !failure.retryable || ENDS_IT.has(failure.code)) return this._fail(failure);
    if (this._attempt === 0) this._lostAt = this._now();
    if (this._now() - this._lostAt > (this._options.giveUpS ?? GIVE_UP_S) * 1000) return this._fail(failure);
    this._attempt += 1;
    const waitS = backoffS(this._attempt, Math.random());
    this._platform.clearTimeout(this._retryTimer);
    this._retryTimer = this._platform.setTimeout(() => this._dial(), waitS * 1000);
    if (this._link && this.state === "draining") return; // it still serves us
    this._become("reconnecting", { failure, attempt: this._attempt, retry_in_s: waitS });
  }

  async _refusal(url) {
    const { key } = this._options;
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
    const link = this._link;
    if (!link?.canSend) return;
    while (link.bufferedBytes < HIGH_WATER_BYTES) {
      const piece = this._audio.takeMark() ? '{"type":"audio.commit"}' : this._audio.next(FRAME_BYTES);
      if (!piece) break;
      link.send(piece);
    }
    if (!this._isPcm) this._audio.commit(this._audio.sentOffset); // a file is not sent again
    if (this._audio.unsentBytes) return this._pumpLater();
    // What is typed after something was said comes after it, also where both are sent again.
    for (let message; (message = this._chat.next()); ) link.send(JSON.stringify(message));
    for (const wait of this._waiting.splice(0)) wait.resolve();
    if (this._isEnding && this._endSentOn !== link) {
      this._endSentOn = link;
      link.send('{"type":"audio.end"}');
    }
  }

  _pumpLater() {
    this._platform.clearTimeout(this._pumpTimer);
    this._pumpTimer = this._platform.setTimeout(() => this._pump(), ROOM_CHECK_MS);
  }

  _say(message) {
    if (this._isEnding || this._isOver || !this._chat.add(message)) return false;
    this._pump();
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
    for (const name of ["_link", "_dialled", "_left"]) this._leave(name);
    this._platform.clearTimeout(this._retryTimer);
    this._platform.clearTimeout(this._pumpTimer);
    for (const wait of this._waiting.splice(0)) wait.reject(reason);
  }

  _leave(name) {
    this[name]?.leave();
    this[name] = null;
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
