"""When a crashed child starts again: soon the first time, then later and later. `now` is any monotonic clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartOptions:
    """Back-off between starts of one child."""

    first_delay_s: float = 0.5
    max_delay_s: float = 30.0
    healthy_after_s: float = 10.0
    """A child that ran this long was healthy: its next crash counts as the first again."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Start again after `delay_s`; `crashes_in_a_row` counts exits without a healthy run between them, this one too."""

    delay_s: float
    crashes_in_a_row: int


class RestartPolicy:
    """The back-off of one child. Call `on_start` and `on_exit` in turn."""

    def __init__(self, options: RestartOptions) -> None:
        self._options = options
        self._started_at = 0.0
        self._crashes_in_a_row = 0

    def on_start(self, now: float) -> None:
        """The child was started."""
        self._started_at = now

    def on_exit(self, now: float) -> Restart:
        """The child ended without being asked to."""
        if now - self._started_at >= self._options.healthy_after_s:
            self._crashes_in_a_row = 0
        self._crashes_in_a_row += 1
        # min() on the exponent keeps the float finite however often a child has crashed.
        delay_s = self._options.first_delay_s * 2.0 ** min(self._crashes_in_a_row - 1, 64)
        return Restart(min(delay_s, self._options.max_delay_s), self._crashes_in_a_row)
