"""How often a session may ask for a partial.

One partial is in flight per session at most, so a slow pool slows its sessions by itself. On top of that the interval
follows the measured lag: at rest it is `base_s`; as round trips lengthen it stretches in proportion, so that sessions
that speak share the pool with finals; beyond `give_up_s` partials pause and only probe, and finals go on alone.
"""

from dataclasses import dataclass

_STRETCH = 1.5
"""Interval per second of round trip: leaves a third of the time to others."""
_SMOOTHING = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class CadenceOptions:
    """Limits of the partial interval, in seconds of wall time."""

    base_s: float = 0.4
    max_s: float = 3.0
    give_up_s: float = 3.0
    """Round trip beyond which partials pause."""
    pause_s: float = 6.0
    """Time between the probes of a paused session."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Smoothed round trip of a session's partials, in seconds; start from `Lag()`."""

    round_trip_s: float = 0.0

    def after(self, round_trip_s: float) -> "Lag":
        """The lag once a partial came back, or was lost, after `round_trip_s`."""
        if self.round_trip_s == 0.0:
            return Lag(round_trip_s)
        return Lag(self.round_trip_s + _SMOOTHING * (round_trip_s - self.round_trip_s))


def partial_interval_s(lag: Lag, options: CadenceOptions) -> float:
    """Wall time between the sending of two partials of one session."""
    if lag.round_trip_s > options.give_up_s:
        return options.pause_s
    return min(options.max_s, max(options.base_s, _STRETCH * lag.round_trip_s))
