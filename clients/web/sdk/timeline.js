// One stream over several sockets: each new socket counts from 0, the stream goes on. Pure.

const TIMES = ["start_s", "end_s", "time_s"];

export class Timeline {
  /** `rate`: frames per second in which offsets count. */
  constructor(rate) {
    this._rate = rate;
    this._baseOffset = 0;
    this._segmentBase = 0;
    this._answerBase = 0;
    this._lastSegment = 0;
    this._lastAnswer = 0;
    /** Up to here the stream is stored as text, or known to hold none: where a new socket begins. */
    this.settledOffset = 0;
  }

  /** A new socket is open, whose first frame is `offset` of the stream. */
  restartAt(offset) {
    this._baseOffset = offset;
    this._segmentBase = this._lastSegment;
    this._answerBase = this._lastAnswer;
  }

  /** The event with times, segment and answer of the stream. */
  place(event) {
    const placed = { ...event };
    for (const name of TIMES) if (name in event) placed[name] = event[name] + this._baseOffset / this._rate;
    if ("words" in event) placed.words = event.words.map((word) => this._placeWord(word));
    if ("segment" in event) {
      placed.segment = event.segment + this._segmentBase;
      this._lastSegment = Math.max(this._lastSegment, placed.segment);
    }
    if ("answer" in event) {
      placed.answer = event.answer + this._answerBase;
      this._lastAnswer = Math.max(this._lastAnswer, placed.answer);
    }
    if (event.type === "audio.committed") {
      placed.offset = event.offset + this._baseOffset;
      this.settledOffset = Math.max(this.settledOffset, placed.offset);
    }
    // A final is stored before it is shown, so its audio needs no second hearing, whether its commit came or not.
    if (event.type === "transcript.final" || event.type === "transcript.failed") {
      this.settledOffset = Math.max(this.settledOffset, Math.round(placed.end_s * this._rate));
    }
    return placed;
  }

  _placeWord(word) {
    const base = this._baseOffset / this._rate;
    return { ...word, start_s: word.start_s + base, end_s: word.end_s + base };
  }
}
