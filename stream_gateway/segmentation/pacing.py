"""How long the speech model waits for company. Pure.

A frame scored in a batch of 16 costs a fifth of one scored alone. Where few speak there is time enough to score each
at once; where many do, a few milliseconds bring a batch together and leave the processor to everybody.
"""

from dataclasses import dataclass
from math import exp


@dataclass(frozen=True, slots=True, kw_only=True)
class PacingOptions:
    """Wall time in seconds."""

    max_wait_s: float = 0.005
    """Longest wait; it is worth it from one more track within it (20 sessions that send every 100 ms)."""
    target_tracks: int = 24
    """Tracks that make a good batch: more of them hardly cost less each."""
    memory_s: float = 0.5
    """Over which time arrivals are counted."""


class Pacing:
    """Follows how often tracks bring audio."""

    def __init__(self, options: PacingOptions | None = None) -> None:
        self._options = options or PacingOptions()
        self._recent = 0.0  # arrivals, each fading with its age
        self._counted_at = 0.0

    def on_arrival(self, now: float) -> None:
        """A track brought audio to score."""
        self._recent = 1.0 + self._recent * exp(min(0.0, self._counted_at - now) / self._options.memory_s)
        self._counted_at = now

    @property
    def wait_s(self) -> float:
        """How long the first of a batch is to wait for others, going by the arrivals so far; 0 where few come."""
        options = self._options
        per_s = (self._recent - 1.0) / options.memory_s  # the one that waits is no company
        if per_s * options.max_wait_s < 1.0:
            return 0.0
        return min(options.max_wait_s, options.target_tracks / per_s)
