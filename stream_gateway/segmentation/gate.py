"""Which frames are worth a run of the speech model. Pure.

A muted microphone or a silent line sends frames that hold no speech whatever the model would say. The gate closes
only after the model itself has seen a stretch of such frames, so its memory has settled on silence; the first louder
frame opens it again and is scored at once.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """What counts as silence."""

    floor_dbfs: float = -72.0
    """RMS level under which a frame is silent (0 dBFS is a full-scale square wave)."""
    settle_frames: int = 16
    """Silent frames in a row that the model still scores before the gate closes (half a second)."""
    settled_score: float = 0.1
    """The gate stays open while the model gives more than this: it hears someone."""


class EnergyGate:
    """Decides for one track, frame by frame: `admits`, then `on_score` if the frame was scored."""

    def __init__(self, options: GateOptions | None = None) -> None:
        self._options = options or GateOptions()
        self._silent_frames = 0

    def admits(self, rms_dbfs: float) -> bool:
        """Whether the next frame needs a score. A frame that is not admitted has the score 0."""
        if rms_dbfs >= self._options.floor_dbfs:
            self._silent_frames = 0
            return True
        self._silent_frames = min(self._silent_frames + 1, self._options.settle_frames + 1)
        return self._silent_frames <= self._options.settle_frames

    def on_score(self, score: float) -> None:
        """Take the model's word for the frame just admitted."""
        if score > self._options.settled_score:
            self._silent_frames = 0
