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

    max_process_lag_s: float = 0.5
    """Time by which the event loop runs late, or speech waits to be found in audio; smoothed over some seconds."""
    max_memory_bytes: int | None = None
    """Resident. None: no limit."""
    recovered_share: float = 0.8
    """Below this share of a limit it counts as kept again."""


class Shortage:
    """Follows one process. `now` never goes back."""

    def __init__(self, limits: ProcessLimits) -> None:
        self._limits = limits
        self._lag = Smoothed(rise_s=_RISE_S, fall_s=_FALL_S)
        self._lacks: set[Lack] = set()

    @property
    def lag_s(self) -> float:
        """Smoothed, in seconds."""
        return self._lag.value

    @property
    def lack(self) -> Lack | None:
        """What the process is short of; of two the one that is worse."""
        return "memory" if "memory" in self._lacks else next(iter(self._lacks), None)

    def look(self, *, lag_s: float, memory_bytes: int, now: float) -> None:
        """Take in by how much the process ran late just now, and the memory in use; a few times a second."""
        limits = self._limits
        self._lag.measure(lag_s, now)
        self._judge("time", self.lag_s, limits.max_process_lag_s)
        if limits.max_memory_bytes is not None:
            self._judge("memory", memory_bytes, limits.max_memory_bytes)

    def _judge(self, lack: Lack, used: float, limit: float) -> None:
        if used > limit:
            self._lacks.add(lack)
        elif used < self._limits.recovered_share * limit:
            self._lacks.discard(lack)
