// Audio on its way: what is not sent yet, and what is sent but not yet committed. Pure.

export class ReplayBuffer {
  /**
   * Offsets count frames of `frameBytes` from the first one appended. At most `maxBytes` are held. Overflow rule: the
   * oldest audio is forgotten and counted in `droppedBytes`; live audio never waits for memory.
   */
  constructor({ frameBytes, maxBytes }) {
    this._frameBytes = frameBytes;
    this._maxBytes = maxBytes;
    this._chunks = [];
    this._startByte = 0;
    this._sentByte = 0;
    this._endByte = 0;
    this._marks = []; // bytes, in order
    this._sentMarks = 0;
    this.droppedBytes = 0;
  }

  get startOffset() {
    return Math.ceil(this._startByte / this._frameBytes);
  }

  get sentOffset() {
    return Math.floor(this._sentByte / this._frameBytes);
  }

  get endOffset() {
    return Math.floor(this._endByte / this._frameBytes);
  }

  get unsentBytes() {
    return this._endByte - this._sentByte;
  }

  get heldBytes() {
    return this._endByte - this._startByte;
  }

  /** Takes a Uint8Array that follows all that came before; it is kept, not copied. */
  append(bytes) {
    this._chunks.push(bytes);
    this._endByte += bytes.byteLength;
    while (this.heldBytes > this._maxBytes && this._chunks.length > 1) this.droppedBytes += this._forgetOldest();
  }

  /** An utterance ends behind what was appended so far. */
  mark() {
    this._marks.push(this._endByte);
  }

  /** The next unsent bytes, at most `maxBytes` and not beyond a mark that is not taken; null if there are none. */
  next(maxBytes) {
    const limit = Math.min(this._sentByte + maxBytes, this._marks[this._sentMarks] ?? Infinity);
    let at = this._startByte;
    for (const chunk of this._chunks) {
      const end = at + chunk.byteLength;
      if (end > this._sentByte && this._sentByte < limit) {
        const piece = chunk.subarray(this._sentByte - at, Math.min(chunk.byteLength, limit - at));
        this._sentByte += piece.byteLength;
        return piece;
      }
      at = end;
    }
    return null;
  }

  /** Whether a mark stands where the next bytes begin; it counts as sent from now on. */
  takeMark() {
    const isDue = this._marks[this._sentMarks] <= this._sentByte;
    if (isDue) this._sentMarks += 1;
    return isDue;
  }

  /** Forgets the chunks that end at or before `offset` and are sent, and marks up to it. An older offset changes nothing. */
  commit(offset) {
    const committed = Math.min(offset * this._frameBytes, this._sentByte);
    while (this._chunks.length && this._startByte + this._chunks[0].byteLength <= committed) this._forgetOldest();
    while (this._sentMarks && this._marks[0] <= committed) {
      this._marks.shift();
      this._sentMarks -= 1;
    }
  }

  /**
   * Makes all from `offset` on unsent again, or from the oldest that is held; returns that offset. A mark at `offset`
   * stays taken: what it ended is settled.
   */
  rewind(offset) {
    const from = Math.min(Math.max(offset, this.startOffset), this.endOffset);
    this._sentByte = from * this._frameBytes;
    this._sentMarks = this._marks.filter((mark) => mark <= this._sentByte).length;
    return from;
  }

  /** What was appended so far, and is held, counts from `offset` on. */
  rebase(offset) {
    const moved = offset * this._frameBytes - this._startByte;
    this._startByte += moved;
    this._sentByte += moved;
    this._endByte += moved;
    this._marks = this._marks.map((mark) => mark + moved);
  }

  /** A copy of all that is held from `offset` on. */
  since(offset) {
    const held = new Uint8Array(this.heldBytes);
    let at = 0;
    for (const chunk of this._chunks) {
      held.set(chunk, at);
      at += chunk.byteLength;
    }
    return held.subarray(Math.max(0, offset * this._frameBytes - this._startByte));
  }

  _forgetOldest() {
    const size = this._chunks.shift().byteLength;
    this._startByte += size;
    this._sentByte = Math.max(this._sentByte, this._startByte);
    return size;
  }
}
