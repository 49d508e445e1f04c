// How loud the microphone is, and whether it gives anything at all.

const SILENT_PEAK = 0.0005;
const SILENT_AFTER_MS = 6000;
const FALL_PER_FRAME = 0.9;

export class LevelMeter {
  /** `onSilent` is called once for each stretch of digital silence. */
  constructor(bar, onSilent) {
    this._bar = bar;
    this._onSilent = onSilent;
    this._level = 0;
    this._frame = 0;
    this.reset();
  }

  /** A peak of 0 to 1. */
  hear(peak) {
    const now = performance.now();
    if (peak > SILENT_PEAK) this._heardAt = now;
    else if (now - (this._heardAt ?? now) > SILENT_AFTER_MS) {
      this._heardAt = Infinity;
      this._onSilent();
    }
    this._heardAt ??= now;
    this._level = Math.max(this._level, loudness(peak));
    this._frame ||= requestAnimationFrame(() => this._draw());
  }

  reset() {
    this._heardAt = null;
    this._level = 0;
    this._bar.style.setProperty("--level", "0");
  }

  _draw() {
    this._frame = 0;
    this._bar.style.setProperty("--level", this._level.toFixed(3));
    this._level *= FALL_PER_FRAME;
  }
}

/** 0 to 1 over the 50 dB in which speech lies. */
function loudness(peak) {
  return Math.max(0, Math.min(1, 1 + (20 * Math.log10(peak + 1e-6)) / 50));
}
