// All that was said on this page, over any number of sessions and recordings. Pure.

export class Transcript {
  /** `kept`: what `toKeep` gave of an earlier page. */
  constructor(kept) {
    const { entries, streams, endS } = kept ?? { entries: [], streams: [], endS: 0 };
    /** In the order in which they began. */
    this.entries = entries;
    this._byKey = new Map(entries.map((entry) => [entry.key, entry]));
    this._streams = new Map(streams);
    this._endS = endS;
  }

  toKeep() {
    return { entries: this.entries.filter(isOver), streams: [...this._streams], endS: this._endS };
  }

  /** A new session or recording; its times follow those of the one before. */
  beginStream() {
    const stream = this._streams.size + 1;
    this._streams.set(stream, this._endS);
    return stream;
  }

  /** Takes in an event of the stream; returns `{entry}`, `{removed}`, or nothing where nothing is to be shown. */
  apply(stream, event) {
    const key = `${stream}:${event.segment}:${event.channel}`;
    const offsetS = this._streams.get(stream) ?? 0;
    if (event.end_s !== undefined) this._endS = Math.max(this._endS, event.end_s + offsetS);
    switch (event.type) {
      case "speech.started":
        return { entry: this._entry(key, stream, event.start_s + offsetS) };
      case "transcript.partial":
        return { entry: Object.assign(this._entry(key, stream, event.start_s + offsetS), partialOf(event)) };
      case "speech.ended":
        return this._byKey.has(key) ? { entry: Object.assign(this._byKey.get(key), { state: "waiting" }) } : {};
      case "transcript.final":
        if (!event.text.trim()) return { removed: this._remove(key) };
        return { entry: Object.assign(this._entry(key, stream, event.start_s + offsetS), finalOf(event, offsetS)) };
      case "transcript.failed":
        return { entry: Object.assign(this._entry(key, stream, event.start_s + offsetS), failedOf(event, offsetS)) };
      default:
        return {};
    }
  }

  /** Forgets what the stream had begun and will not end; returns it. */
  dropOpen(stream) {
    const open = this.entries.filter((entry) => entry.stream === stream && !isOver(entry));
    return open.map((entry) => this._remove(entry.key));
  }

  /** What can be copied and saved. */
  get finals() {
    return this.entries.filter((entry) => entry.state === "final");
  }

  /** Forgets what is over; returns it. */
  clear() {
    return this.entries.filter(isOver).map((entry) => this._remove(entry.key));
  }

  _entry(key, stream, startS) {
    let entry = this._byKey.get(key);
    if (!entry) {
      entry = { key, stream, start_s: startS, end_s: startS, state: "speaking", stable: "", tail: "", text: "" };
      this._byKey.set(key, entry);
      this.entries.push(entry);
    }
    return entry;
  }

  _remove(key) {
    const entry = this._byKey.get(key);
    this._byKey.delete(key);
    this.entries = this.entries.filter((other) => other !== entry);
    return entry;
  }
}

/** Middle value of the latencies of the last `count` finals, in seconds; null if there are none. */
export function medianLatencyS(entries, count = 20) {
  const known = entries.map((entry) => entry.latency_s).filter((value) => value > 0);
  const latest = known.slice(-count).sort((a, b) => a - b);
  return latest.length ? latest[Math.floor(latest.length / 2)] : null;
}

function isOver(entry) {
  return entry.state === "final" || entry.state === "failed";
}

function partialOf({ stable, text, language }) {
  return { stable, tail: text.slice(stable.length), text, language };
}

function finalOf({ start_s, end_s, text, words, language, model, times }, offsetS) {
  const moved = words.map((word) => ({ ...word, start_s: word.start_s + offsetS, end_s: word.end_s + offsetS }));
  const said = { start_s: start_s + offsetS, end_s: end_s + offsetS, text, words: moved, language, model };
  return { ...said, state: "final", stable: text, tail: "", times, latency_s: times.total_s };
}

function failedOf({ start_s, end_s, code }, offsetS) {
  return { state: "failed", start_s: start_s + offsetS, end_s: end_s + offsetS, code, stable: "", tail: "", text: "" };
}
