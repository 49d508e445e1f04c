// Captions only, in large type, over the whole screen.

const STILL_AFTER_MS = 2500;

export class RoomMode {
  constructor({ enter, leave, onChange }) {
    this._leave = leave;
    this._enter = enter;
    this._onChange = onChange;
    enter.addEventListener("click", () => this.open());
    leave.addEventListener("click", () => this.close());
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    document.addEventListener("fullscreenchange", () => document.fullscreenElement || this.close());
    document.addEventListener("pointermove", () => this._stir(), { passive: true });
  }

  get isOpen() {
    return document.body.classList.contains("is-room");
  }

  open() {
    document.body.classList.add("is-room");
    this._leave.hidden = false;
    this._leave.focus();
    this._stir();
    document.documentElement.requestFullscreen?.().catch(() => {}); // the large type does without
    this._keepAwake();
    this._onChange();
  }

  close() {
    if (!this.isOpen) return;
    document.body.classList.remove("is-room", "is-still");
    this._leave.hidden = true;
    this._awake?.release();
    this._awake = null;
    if (document.fullscreenElement) document.exitFullscreen();
    this._enter.focus();
    this._onChange();
  }

  async _keepAwake() {
    try {
      this._awake = await navigator.wakeLock?.request("screen");
    } catch {
      // Then it goes dark.
    }
  }

  _stir() {
    clearTimeout(this._timer);
    document.body.classList.remove("is-still");
    if (this.isOpen) this._timer = setTimeout(() => document.body.classList.add("is-still"), STILL_AFTER_MS);
  }
}
