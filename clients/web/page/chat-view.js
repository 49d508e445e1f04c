// The conversation on the screen.
import { element } from "./captions-view.js";

const NEAR_END_PX = 60;

export class ChatView {
  constructor({ turns, onRetry }) {
    this._turns = turns;
    this._onRetry = onRetry;
    this._rows = new Map();
    this._changed = new Set();
    this._frame = 0;
    this._follows = true;
    turns.addEventListener("scroll", () => this._onScroll(), { passive: true });
    new ResizeObserver(() => this._toEnd()).observe(turns);
  }

  show(turn) {
    this._changed.add(turn);
    this._frame ||= requestAnimationFrame(() => this._draw());
  }

  clear() {
    this._rows.clear();
    this._changed.clear();
    this._turns.replaceChildren();
  }

  _draw() {
    this._frame = 0;
    for (const turn of this._changed) this._drawTurn(turn);
    this._changed.clear();
    this._toEnd();
  }

  _onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this._turns;
    this._follows = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  _toEnd() {
    if (this._follows) this._turns.scrollTop = this._turns.scrollHeight;
  }

  _drawTurn(turn) {
    const row = this._rows.get(turn.id) ?? this._newRow(turn);
    row.row.dataset.state = turn.state;
    const shown = row.text.data;
    if (turn.text.startsWith(shown)) row.text.appendData(turn.text.slice(shown.length));
    else row.text.data = turn.text;
    row.remark.textContent = turn.remark;
    row.remark.hidden = !turn.remark;
    if (turn.canRetry) {
      const again = element("button", "", "Try again");
      again.type = "button";
      again.addEventListener("click", () => this._onRetry());
      row.remark.append(again);
      turn.canRetry = false;
    }
  }

  _newRow(turn) {
    const row = element("div", "turn");
    row.dataset.who = turn.who;
    const paragraph = element("p", "", "");
    const remark = element("small", "");
    row.append(paragraph, remark);
    this._turns.append(row);
    const parts = { row, text: paragraph.firstChild, remark };
    this._rows.set(turn.id, parts);
    return parts;
  }
}
