"""What share of a worker's slots finals occupy, for gateways that decide whether to take more sessions. Pure."""

from math import exp

_MEMORY_S = 10.0
"""Some utterances of each speaker: what was so long ago weighs a third."""


class SlotUse:
    """A mean over time that forgets. `now` never goes back."""

    def __init__(self, *, slots: int, executors: int) -> None:
        """A call occupies an executor, and of its slots as many as it has windows: where it has one, it is full."""
        self._slots = slots
        self._most_of_a_call = slots / executors
        self._busy = 0.0
        self._mean = 0.0
        self._at = 0.0

    def begin(self, finals: int, now: float) -> None:
        """A call with so many finals begins."""
        self._pass(now)
        self._busy += min(finals, self._most_of_a_call)

    def end(self, finals: int, now: float) -> None:
        """It is over."""
        self._pass(now)
        self._busy -= min(finals, self._most_of_a_call)

    def share(self, now: float) -> float:
        """From 0 to 1, over the last seconds."""
        self._pass(now)
        return min(1.0, self._mean / self._slots)

    def _pass(self, now: float) -> None:
        fades = exp((self._at - now) / _MEMORY_S)
        self._mean = fades * self._mean + (1 - fades) * self._busy
        self._at = now
