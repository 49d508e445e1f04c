"""Tells a machine that slept, or a process that was stopped, from one that was awake. Pure."""

from typing import Final

SLEPT_S: Final = 5.0
"""A look that comes so much later than it was due has missed something."""


class SleepWatch:
    """Compares two clocks from look to look. One owner.

    Both are needed: the monotonic clock of Linux stands still while the machine sleeps, and the wall clock may be set.
    """

    def __init__(self, *, monotonic_s: float, wall_s: float) -> None:
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s

    def has_slept(self, *, monotonic_s: float, wall_s: float, due_after_s: float) -> bool:
        """Tell whether much more than `due_after_s` has passed since the last look."""
        passed_s = max(monotonic_s - self._monotonic_s, wall_s - self._wall_s)
        self._monotonic_s, self._wall_s = monotonic_s, wall_s
        return passed_s > due_after_s + SLEPT_S
