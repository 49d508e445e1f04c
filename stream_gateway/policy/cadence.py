"""How often the sessions of a pool may ask for a partial, and how early for a final, by the lag of the pool.

One partial is in flight per session at most, so a slow pool slows its sessions by itself. On top of that the interval
of all sessions follows one measure: at rest it is `base_s`; as the pool lags it stretches in proportion, so that
sessions that speak share the pool with finals; beyond `give_up_s` partials stop but for a probe, and finals go on
alone. They come back only below `resume_s`, and then stretched: all at once they would stop themselves again.

The lag is the round trip of partials, smoothed: up fast, down slowly. Finals go first, so they wait only where partials
wait longer: their waiting, and that of the broker's queue, can raise it; it lowers it only while no partials are sent.

Beside it stands the wait of finals alone, by which new sessions are refused (`pool_door.py`).
"""

from dataclasses import dataclass
from zlib import crc32

from stream_gateway.policy.smoothing import Smoothed

_STRETCH = 1.5
"""Interval per second of lag: leaves a third of the time to others."""
_RISE_S = 0.4
_FALL_S = 3.0
_FORGET_S = 8.0
"""Longer than a probe may take and the next one may follow: then nobody asks, and what was measured is stale."""
_FINAL_RISE_S = 2.0
"""Slower: one final that a dead worker held for seconds is no queue."""
_FINAL_MAX_S = 10.0
"""A final that waited longer tells no more: a missed deadline is not the wait of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CadenceOptions:
    """In seconds of wall time. ValueError if the values contradict one another."""

    base_s: float = 0.4
    max_s: float = 3.0
    give_up_s: float = 3.0
    """Lag beyond which partials stop."""
    resume_s: float = 1.5
    """Lag below which they come back."""
    pause_s: float = 3.0
    """Time between the probes of a pool whose partials have stopped."""
    jitter: float = 0.1
    """Share of an interval by which it may be shorter or longer: sessions that began together drift apart."""
    hasty_below_s: float = 0.5
    """Up to this lag a final is asked for at the tentative end: if speech resumes, nobody misses the decoder's time."""
    patient_from_s: float = 2.0
    """From this lag on it is asked for at the endpoint; in between, in between."""
    pressed_from_s: float = 1.0
    """Lag beyond which finals are decoded in a hurry: alone and with less context, which takes three quarters of the
    time and costs 1.5 points of word error rate."""

    def __post_init__(self) -> None:
        if not (0 < self.base_s <= self.max_s and 0 < self.resume_s <= self.give_up_s and self.pause_s > 0):
            raise ValueError("cadence must satisfy 0 < base_s <= max_s, 0 < resume_s <= give_up_s and 0 < pause_s")
        if not (0 <= self.jitter < 1 and 0 <= self.hasty_below_s < self.patient_from_s):
            raise ValueError("jitter must be in [0, 1) and hasty_below_s less than patient_from_s")


class PoolLag:
    """What one gateway knows of the lag of one pool; shared by the pool's sessions. `now` never goes back."""

    def __init__(self, options: CadenceOptions | None = None) -> None:
        self._options = options or CadenceOptions()
        self._lag = Smoothed(rise_s=_RISE_S, fall_s=_FALL_S)
        self._final_wait = Smoothed(rise_s=_FINAL_RISE_S, fall_s=_FALL_S)
        self._stopped = False
        self._probed_at: float | None = None
        self._taken_upto_seq = 0
        self._progress_at: float | None = None

    @property
    def lag_s(self) -> float:
        """Smoothed, in seconds; 0 until something was measured."""
        return self._lag.value

    @property
    def final_wait_s(self) -> float:
        """How long finals wait for a worker, smoothed, in seconds; 0 until something was measured."""
        return self._final_wait.value

    @property
    def partials_stopped(self) -> bool:
        """Whether the pool is too slow for partials."""
        return self._stopped

    @property
    def is_pressed(self) -> bool:
        """Whether finals are decoded alone and in a hurry: a text that is late is worse than a few more errors."""
        return self.lag_s > self._options.pressed_from_s

    def on_partial(self, round_trip_s: float, now: float) -> None:
        """A partial came back, or was given up, after so long."""
        self._measure(round_trip_s, now)

    def on_final(self, wait_s: float, now: float) -> None:
        """A final was answered, or missed; it took this long, the work on it not counted."""
        self._final_wait.measure(min(wait_s, _FINAL_MAX_S), now)
        if self._stopped or wait_s > self.lag_s:
            self._measure(wait_s, now)

    def on_queue(self, waiting: int, taken_upto_seq: int, now: float) -> None:
        """The broker's queue of finals was read: how many wait, and up to which number all were taken.

        The numbers count the finals of all pools, so the wait is judged too short rather than too long.
        """
        since = now if self._progress_at is None or not waiting else self._progress_at
        taken = taken_upto_seq - self._taken_upto_seq
        self._taken_upto_seq = taken_upto_seq
        if taken or not waiting or self._progress_at is None:
            self._progress_at = now
        wait_s = waiting * (now - since) / max(1, taken)
        self._final_wait.measure(min(wait_s, _FINAL_MAX_S), now)
        if wait_s > self.lag_s:
            self._measure(wait_s, now)
        elif self._lag.measured_at is not None and now - self._lag.measured_at > _FORGET_S:
            self._lag.forget()
            self._stopped = False

    def interval_s(self, jitter: float) -> float:
        """Wall time between two partials of one session. `jitter`, from 0 to 1, is the session's own."""
        options = self._options
        interval_s = min(options.max_s, max(options.base_s, _STRETCH * self.lag_s))
        if self._stopped:
            interval_s = options.pause_s
        return interval_s * (1 + options.jitter * (2 * jitter - 1))

    def admit_partial(self, now: float) -> bool:
        """Whether a session whose interval has passed may send: always, or once partials stopped, if a probe is due.

        True counts as sent.
        """
        if not self._stopped:
            return True
        if self._probed_at is not None and now < self._probed_at + self._options.pause_s:
            return False
        self._probed_at = now
        return True

    def tentative_wait_s(self, *, tentative_s: float, endpoint_s: float) -> float:
        """Silence after which a final is worth asking for although speech may resume."""
        options = self._options
        share = (self.lag_s - options.hasty_below_s) / (options.patient_from_s - options.hasty_below_s)
        return tentative_s + min(1.0, max(0.0, share)) * (endpoint_s - tentative_s)

    def _measure(self, lag_s: float, now: float) -> None:
        self._lag.measure(lag_s, now)
        if self.lag_s > self._options.give_up_s:
            self._stopped = True
        elif self._stopped and self.lag_s < self._options.resume_s:
            self._stopped = False
            self._lag.value = self._options.resume_s


def jitter_of(session: str, number: int) -> float:
    """From 0 to 1, evenly spread: the same for the same session and number, unlike for any others."""
    return crc32(f"{session}:{number}".encode()) / 2**32
