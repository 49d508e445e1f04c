// Speaks to screen readers: finals and whole answers, never partials, and no faster than one can listen.

const PAUSE_MS = 1500;

export class Announcer {
  constructor(region) {
    this._region = region;
    this._waiting = [];
    this._timer = 0;
  }

  /** Texts that come in the pause after one are joined. */
  say(text) {
    this._waiting.push(text);
    if (!this._timer) this._speak();
  }

  _speak() {
    this._timer = 0;
    if (!this._waiting.length) return;
    this._region.textContent = this._waiting.splice(0).join(" ");
    this._timer = setTimeout(() => this._speak(), PAUSE_MS);
  }
}
