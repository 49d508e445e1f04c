// Captions on the screen: stable words, the tail that may still change, finals.
import { clock } from "./documents.js";

const NEAR_END_PX = 48;
const ROWS_PER_LIST = 20; // the browser lays out and paints the lists on the screen, whatever an hour has brought
const STAGES = [
  ["endpoint_s", "silence that ends it"],
  ["queue_s", "queue"],
  ["batch_wait_s", "batch"],
  ["encode_s", "encode"],
  ["decode_s", "decode"],
  ["publish_s", "store"],
];

export class CaptionsView {
  /** `scroller` holds `list`; `toLatest` is the button that brings a reader back to the end. */
  constructor({ scroller, list, invitation, toLatest }) {
    Object.assign(this, { _scroller: scroller, _list: list, _invitation: invitation, _toLatest: toLatest });
    this._rows = new Map();
    this._changed = new Set();
    this._frame = 0;
    this._follows = true;
    scroller.addEventListener("scroll", () => this._onScroll(), { passive: true });
    toLatest.addEventListener("click", () => this.follow());
    new ResizeObserver(() => this._toEnd()).observe(scroller);
  }

  /** Shows the entry as it is at the next frame; any number of changes cost one. */
  show(entry) {
    this._changed.add(entry);
    this._frame ||= requestAnimationFrame(() => this._draw());
  }

  remove(entry) {
    if (!entry) return;
    this._changed.delete(entry);
    this._rows.get(entry.key)?.row.remove();
    this._rows.delete(entry.key);
  }

  /** A line that says what follows: another recording. */
  heading(text) {
    this._invitation.hidden = true;
    this._append(element("li", "recording", text));
  }

  clear() {
    for (const row of this._list.querySelectorAll(".recording, ol:empty")) row.remove();
    this._invitation.hidden = this._rows.size > 0;
  }

  follow() {
    this._follows = true;
    this._toLatest.hidden = true;
    this._toEnd();
  }

  _draw() {
    this._frame = 0;
    for (const entry of this._changed) this._drawEntry(entry);
    this._changed.clear();
    this._toEnd();
  }

  _drawEntry(entry) {
    const row = this._rows.get(entry.key) ?? this._newRow(entry);
    if (row.state !== entry.state) {
      row.state = entry.state;
      row.row.dataset.state = entry.state;
    }
    const isFailed = entry.state === "failed";
    setText(row.stable, isFailed ? "This passage could not be transcribed." : entry.stable);
    setText(row.tail, entry.tail);
    if (entry.state !== "final" || row.note.data) return;
    row.row.lang = entry.language ?? "";
    if (!entry.latency_s) return; // told again, by a gateway that did not see it
    row.note.data = `${entry.latency_s.toFixed(1)} s`;
    row.note.parentElement.title = latencyTitle(entry.times);
  }

  _newRow(entry) {
    this._invitation.hidden = true;
    const row = element("li", "utterance");
    const time = element("time", "utterance-time", clock(entry.start_s));
    const text = element("p", "utterance-text");
    const stable = element("span", "utterance-stable", "");
    const tail = element("span", "utterance-tail", "");
    const note = element("span", "utterance-note", "");
    text.append(stable, tail);
    row.append(time, text, note);
    this._append(row);
    const parts = { row, state: "", time: time.firstChild, stable: stable.firstChild, tail: tail.firstChild, note: note.firstChild };
    this._rows.set(entry.key, parts);
    return parts;
  }

  _append(row) {
    let list = this._list.lastElementChild;
    if (!list || list.childElementCount >= ROWS_PER_LIST) list = this._list.appendChild(element("ol", ""));
    list.append(row);
  }

  _onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this._scroller;
    const isUp = scrollTop < this._lastTop - 2;
    this._lastTop = scrollTop;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) this._follows = true;
    else if (isUp) this._follows = false;
    if (this._toLatest.hidden !== this._follows) this._toLatest.hidden = this._follows;
  }

  _toEnd() {
    if (this._follows) this._scroller.scrollTop = this._scroller.scrollHeight;
  }
}

function latencyTitle(times) {
  const stages = STAGES.map(([name, words]) => `${words} ${times[name].toFixed(2)} s`);
  return `Shown ${times.total_s.toFixed(2)} s after the end of speech: ${stages.join(", ")}`;
}

function setText(node, text) {
  if (node.data !== text) node.data = text;
}

/** An element with a text node in it, also where the text is empty. */
export function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.append(document.createTextNode(text));
  return made;
}
