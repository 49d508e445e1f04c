"""A measure that follows what is measured: up fast, down slowly. Pure."""

_MAX_WEIGHT = 0.5
"""However long nothing was measured, one measurement is one."""


class Smoothed:
    """A value in seconds. `now` never goes back.

    A measurement weighs as much as the time since the one before: many sources do not make it more nervous than one.
    """

    def __init__(self, *, rise_s: float, fall_s: float) -> None:
        self._rise_s = rise_s
        self._fall_s = fall_s
        self.value = 0.0
        """0 until something was measured."""
        self.measured_at: float | None = None

    def measure(self, value: float, now: float) -> None:
        """Take a measurement in. The first counts in full."""
        if self.measured_at is None:
            self.value = value
        else:
            span_s = self._rise_s if value > self.value else self._fall_s
            self.value += min(_MAX_WEIGHT, (now - self.measured_at) / span_s) * (value - self.value)
        self.measured_at = now

    def forget(self) -> None:
        """As if nothing had ever been measured."""
        self.value, self.measured_at = 0.0, None
