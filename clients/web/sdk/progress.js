// What this client has of its session: what a gateway must know that takes the session up. Pure.

const RATE = 16000;

export class Progress {
  /** `kept`: what `snapshot` gave of an earlier page. */
  constructor(kept) {
    const nothing = { session: "", token: null, seq: 0, offset: 0, segments: [], answer: null };
    Object.assign(this, { _has: { ...nothing, ...kept }, settledOffset: 0 });
  }

  /** Whether the service has said how its session can be taken up. */
  get canResume() {
    return this._has.token !== null;
  }

  /** Number of the answer that has begun and not ended; undefined if there is none. */
  get runningAnswer() {
    const { answer } = this._has;
    return answer && answer.text !== null ? answer.answer : undefined;
  }

  /** Takes note of an event of the session. */
  take(event) {
    const has = this._has;
    has.seq = Math.max(has.seq, event.seq);
    switch (event.type) {
      case "session.started":
      case "session.resumed":
        has.session = event.session;
        has.token = event.resume?.token ?? null;
        has.segments = Array.from({ length: event.channels }, (_, channel) => has.segments[channel] ?? 0);
        break;
      case "audio.committed":
        has.offset = Math.max(has.offset, event.offset);
        this._settle(has.offset);
        break;
      case "transcript.final":
      case "transcript.failed":
        has.segments[event.channel] = event.segment;
        this._settle(Math.round(event.end_s * RATE)); // it is stored before it is shown
        break;
      case "chat.started":
        has.answer = { answer: event.answer, text: "" };
        break;
      case "chat.delta":
        if (has.answer?.answer !== event.answer) has.answer = { answer: event.answer, text: "" };
        has.answer.text += event.text;
        break;
      case "chat.done":
      case "chat.cancelled":
      case "chat.failed":
        has.answer = { answer: event.answer, text: null };
        break;
    }
  }

  /** The first message on the next socket; `heldFrom` is the first offset whose audio is still held. */
  resumption(heldFrom) {
    return { type: "session.resume", ...this._has, offset: Math.max(heldFrom, this._has.offset) };
  }

  /** What another page, after a reload, needs to go on. null: there is nothing to go on with. */
  snapshot() {
    return this.canResume ? structuredClone(this._has) : null;
  }

  _settle(offset) {
    this.settledOffset = Math.max(this.settledOffset, offset);
  }
}
