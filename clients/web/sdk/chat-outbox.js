// What is to be said in chat: in order, once, and again where the service has not told that it has it. Pure.

const MOST_WAITING = 64;
const ARE_NAMED = new Set(["chat.send", "chat.request"]);
const ENDS = new Set(["chat.done", "chat.cancelled", "chat.failed"]);

export class ChatOutbox {
  /** `prefix` makes the names of what is said differ from those of every other client of the session. */
  constructor(prefix) {
    this._prefix = prefix;
    this._count = 0;
    this._waiting = []; // {message, isSent}
  }

  /** False if too much waits: then nothing is taken. */
  add(message) {
    if (this._waiting.length >= MOST_WAITING) return false;
    if (message.type === "chat.cancel") this._forget((other) => other.type === "chat.request");
    const named = ARE_NAMED.has(message.type) ? { ...message, id: `${this._prefix}-${(this._count += 1)}` } : message;
    this._waiting.push({ message: named, isSent: false });
    return true;
  }

  /** The next message to send; null if there is none. */
  next() {
    const entry = this._waiting.find(({ isSent }) => !isSent);
    if (!entry) return null;
    entry.isSent = true;
    const { id, answer } = entry.message;
    const isTold = id !== undefined || answer !== undefined; // of others nobody tells that they were heard
    if (!isTold) this._waiting = this._waiting.filter((other) => other !== entry);
    return entry.message;
  }

  /** Takes note of an event of the session. */
  take({ type, id, answer, code }) {
    if (type === "chat.turn" && id) this._forget((message) => message.id === id);
    if (ENDS.has(type)) this._forget((message) => message.type === "chat.cancel" && message.answer === answer);
    const isRefused = type === "chat.failed" || (type === "error" && code === "nothing_to_answer");
    if (type === "chat.started" || isRefused) this._forget((message, isSent) => isSent && message.type === "chat.request");
  }

  /** There is another socket: what was sent and not told of must be sent again. */
  rewind() {
    for (const entry of this._waiting) entry.isSent = false;
  }

  _forget(isToGo) {
    this._waiting = this._waiting.filter(({ message, isSent }) => !isToGo(message, isSent));
  }
}
