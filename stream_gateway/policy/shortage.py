"""Whether a gateway process itself is short of something: computing time, or memory. Pure."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from stream_gateway.policy.smoothing import Smoothed

Lack: TypeAlias = Literal["time", "memory"]

_RISE_S = 2.0
_FALL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """What a process may use before it takes no more."""

    max_process_lag_s: float = 0.25
    """Time by which the event loop runs late, smoothed over some seconds."""
    max_scoring_share: float = 0.7
    """Time that speech detection takes for each second of audio, smoothed too: at 1 all sessions fall behind."""
    max_memory_bytes: int | None = None
    """Resident. None: no limit."""
    recovered_share: float = 0.8
    """Below this share of a limit it counts as kept again."""


class Shortage:
    """Follows one process. `now` never goes back."""

    def __init__(self, limits: ProcessLimits) -> None:
        self._limits = limits
        self._lag = Smoothed(rise_s=_RISE_S, fall_s=_FALL_S)
        self._scoring = Smoothed(rise_s=_RISE_S, fall_s=_FALL_S)
        self._passed: set[str] = set()

    @property
    def lag_s(self) -> float:
        """Smoothed, in seconds."""
        return self._lag.value

    @property
    def scoring_share(self) -> float:
        """Smoothed."""
        return self._scoring.value

    @property
    def lack(self) -> Lack | None:
        """What the process is short of; of two the one that is worse."""
        if "memory" in self._passed:
            return "memory"
        return "time" if self._passed else None

    def look(self, *, lag_s: float, waited_s: float, scored_s: float, memory_bytes: int, now: float) -> None:
        """Take in what was measured since the last look; a few times a second.

        The event loop was `lag_s` late, and speech detection took `waited_s` for `scored_s` of audio.
        """
        limits = self._limits
        self._lag.measure(lag_s, now)
        self._scoring.measure(waited_s / scored_s if scored_s else 0.0, now)
        self._judge("lag", self.lag_s, limits.max_process_lag_s)
        self._judge("scoring", self.scoring_share, limits.max_scoring_share)
        if limits.max_memory_bytes is not None:
            self._judge("memory", memory_bytes, limits.max_memory_bytes)

    def _judge(self, what: str, used: float, limit: float) -> None:
        if used > limit:
            self._passed.add(what)
        elif used < self._limits.recovered_share * limit:
            self._passed.discard(what)
