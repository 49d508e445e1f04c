// What the page does: one live session for microphone and chat, and one for each recording.
import { sendFile } from "../sdk/file-source.js";
import { LiveSession } from "../sdk/live-session.js";
import { Microphone } from "../sdk/microphone.js";
import { isQuietEnd } from "./plain-words.js";

const OVER = new Set(["ended", "failed"]);
const ARE_FOLLOWED = new Set(["cannot_resume", "session_too_long"]); // by another session, with the audio that is left

export class Desk {
  /**
   * `wishes()` gives `{language, task, device, chat, auto, key}` as they are now; `show` is told what happened; `kept` is what
   * `toKeep` gave of an earlier page, whose session goes on as soon as somebody listens or types.
   */
  constructor({ url, transcript, chatLog, wishes, show, kept }) {
    Object.assign(this, { _url: url, _transcript: transcript, _chatLog: chatLog, _wishes: wishes, _show: show });
    this._live = null; // {session, stream, number, audio, hasChat}
    this._file = null;
    this._microphone = null;
    this._opening = null;
    this._sessions = kept?.sessions ?? 0;
    this._sentBytes = kept?.sentBytes ?? 0;
    this._earlier = kept?.live ?? null;
  }

  toKeep() {
    const { session, ...live } = this._live ?? {};
    const resume = session?.snapshot();
    const kept = { ...live, wasAway: false, resume }; // Firefox closes the sockets of a page before it tells it to go
    return { sessions: this._sessions, sentBytes: this._sentBytes, live: resume ? kept : this._earlier };
  }

  get isListening() {
    return Boolean(this._microphone ?? this._opening);
  }

  /** Seconds of microphone audio since the page began to listen. */
  get listenedS() {
    return this._sentBytes / 32000;
  }

  retry() {
    this._again?.();
  }

  async startListening() {
    if (this.isListening) return;
    this._again = () => this.startListening();
    this.stopFile();
    if (this._live?.audio === "none") this._leave();
    this._opening = this._openMicrophone();
    this._show.listening(true);
    try {
      this._microphone = await this._opening;
    } catch (failure) {
      this._show.notice(failure.code, failure.message);
    } finally {
      this._opening = null;
    }
    if (this._microphone) this._current("pcm");
    this._show.listening(this.isListening);
  }

  /** With chat the session stays open for typed turns; without it ends once all finals have come. */
  async stopListening() {
    const microphone = this._microphone ?? (await this._opening?.catch(() => null));
    this._microphone = null;
    await microphone?.close();
    this._show.listening(false);
    const live = this._live;
    if (!live || live.audio !== "pcm") return;
    if (live.hasChat) live.session.commit();
    else this._end(live);
  }

  /** What was chosen holds from here on: a new session follows the one that runs, without a gap. */
  renew() {
    this._earlier = null;
    if (!this._live) return;
    this._end(this._live);
    if (this._microphone) this._current("pcm");
  }

  /** A typed turn. Resolves to false if nobody takes it. */
  async say(text) {
    this._again = null;
    const live = this._current(this._live?.audio ?? "pcm");
    try {
      await live.session.open();
    } catch (failure) {
      if (failure.code === "cannot_resume") return this.say(text);
      if (failure.code !== "no_worker" || live.audio === "none") return false;
      this._live = null; // nobody can transcribe, yet somebody may answer
      return this._sayWithoutAudio(text);
    }
    return this._tell(live, text);
  }

  requestAnswer() {
    this._live?.session.requestAnswer();
  }

  cancelAnswer() {
    this._live?.session.cancelAnswer();
  }

  forget() {
    this._live?.session.resetChat();
  }

  setAuto(auto) {
    if (this._live?.hasChat) this._live.session.configureChat({ auto });
  }

  networkIsBack() {
    this._live?.session.retryNow();
  }

  async transcribeFile(file) {
    this._again = () => this.transcribeFile(file);
    await this.stopListening();
    this.stopFile();
    const { language, task } = this._wishes();
    const record = this._open({ audio: "container", language, task }, file.name);
    this._file = record;
    try {
      await record.session.open();
      await sendFile(record.session, file, { onProgress: (sent, total) => this._show.progress(file.name, sent / total) });
      await record.session.end();
    } catch {
      // The session has told why.
    } finally {
      if (this._file === record) {
        this._file = null;
        this._show.progress(file.name, null);
      }
    }
  }

  get hasFile() {
    return Boolean(this._file);
  }

  _openMicrophone() {
    const { device } = this._wishes();
    const onAudio = ({ pcm, peak }) => {
      this._sentBytes += pcm.byteLength;
      this._show.level(peak);
      this._live?.session.sendAudio(pcm);
    };
    const onLost = () => {
      this.stopListening();
      this._show.notice("microphone_lost");
    };
    return Microphone.open({ deviceId: device, onAudio, onLost });
  }

  /** The live session; a new one where there is none. */
  _current(audio) {
    if (this._live && !OVER.has(this._live.session.state)) return this._live;
    const earlier = this._earlier;
    this._earlier = null;
    if (earlier?.audio === audio) return (this._live = this._run(earlier, { audio, resume: earlier.resume }));
    const { language, task, chat, auto } = this._wishes();
    if (chat && this._chatLog.turns.length) this._show.note("The assistant starts afresh.");
    this._live = this._open({ audio, language, task, chat: chat ? { auto } : undefined }, "");
    return this._live;
  }

  _open(options, label) {
    this._sessions += 1;
    const record = { stream: this._transcript.beginStream(), number: this._sessions, audio: options.audio };
    if (label) this._show.heading(label);
    return this._run({ ...record, hasChat: Boolean(options.chat) }, { ...options, language: options.language || null });
  }

  _run(record, options) {
    const { key } = this._wishes();
    const keyIn = /^[\w.~-]*$/.test(key) ? "protocol" : "query"; // of the two only the address is ever logged
    record.session = new LiveSession({ url: this._url, key, keyIn, ...options });
    record.session.on("*", (event) => this._hear(record, event));
    record.session.open().catch(() => {}); // the state tells
    return record;
  }

  _hear(record, event) {
    switch (event.type) {
      case "state":
        return this._onState(record, event);
      case "session.resumed":
        return this._onResumed(record, event);
      case "session.ended":
        return this._dropOpen(record);
      case "audio.dropped":
        return this._show.notice("audio_dropped");
      case "chat.turn":
        return; // it stands there already
      case "error":
        return this._show.notice(event.code === "no_worker" ? "no_chat_worker" : event.code, event.message);
    }
    if (event.type.startsWith("chat.")) return this._show.turn(this._chatLog.apply(record.number, event));
    const { entry, removed } = this._transcript.apply(record.stream, event);
    if (removed) this._show.removed(removed);
    if (entry) this._show.entry(entry, event);
    if (event.type === "transcript.final" && record.hasChat && entry) this._show.turn(this._chatLog.addYours(event.text, "spoken"));
  }

  _onState(record, event) {
    if (record === this._live || record === this._file || !this._live) this._show.connection(event);
    if (event.state === "reconnecting") record.wasAway = true;
    if (event.state !== "failed") return;
    this._abandonAnswers(record);
    this._dropOpen(record);
    const isLive = record === this._live;
    if (isLive) this._live = null;
    if (isLive && this._microphone && ARE_FOLLOWED.has(event.failure.code)) return this._follow(record);
    if (isLive && this.isListening) this.stopListening();
    if (!isQuietEnd(event.failure)) this._show.notice(event.failure.code, event.failure.message);
  }

  _onResumed(record, { lost_s }) {
    this._dropOpen(record);
    if (lost_s > 0) this._show.notice("audio_dropped");
    else if (record.wasAway) this._show.resumed();
    record.wasAway = false;
  }

  _follow(record) {
    this._current("pcm").session.sendAudio(record.session.heldAudio());
  }

  _abandonAnswers(record) {
    for (const turn of this._chatLog.abandon(record.number)) this._show.turn(turn);
  }

  _dropOpen(record) {
    for (const entry of this._transcript.dropOpen(record.stream)) this._show.removed(entry);
  }

  async _sayWithoutAudio(text) {
    const live = this._current("none");
    try {
      await live.session.open();
    } catch {
      return false;
    }
    return this._tell(live, text);
  }

  _tell(live, text) {
    if (!live.session.sendChat(text)) return false;
    this._show.turn(this._chatLog.addYours(text, "typed"));
    return true;
  }

  _end(record) {
    if (record === this._live) this._live = null;
    record.session.end().catch(() => {});
  }

  _leave() {
    this._live?.session.close();
    this._live = null;
  }

  stopFile() {
    this._file?.session.close();
    this._file = null;
  }
}

