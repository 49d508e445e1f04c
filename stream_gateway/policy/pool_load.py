"""How much of a pool finals use, and how many more sessions that leaves room for. Pure.

The lag of a pool tells too late how many sessions it can serve: a queue is short until nearly all slots are busy, and
then grows without end. So workers measure the share of their slots that finals use (`WorkerPresence.final_load`), and
each gateway what one of its sessions asks for, in slots. A pool takes sessions up to a share of its slots that leaves
finals room to come at the same time: the more slots, the larger, for in a large pool chance evens out.
"""

from dataclasses import dataclass
from math import exp, sqrt

_NEWCOMER = 0.5
"""Of what a session asks for: its first final comes only after some seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """ValueError if a value is out of range."""

    slack: float = 0.4
    """Of a pool with one slot: the share that is to stay free. It falls with the square root of their number."""
    sessions_per_slot: float = 4.0
    """What a full slot is taken to serve until it was measured."""
    memory_s: float = 30.0
    """What was measured so long ago weighs a third."""
    prior_session_s: float = 20.0
    """The guess weighs as much as the measurement of so many seconds of one session."""

    def __post_init__(self) -> None:
        if not (0 < self.slack < 1 and self.sessions_per_slot > 0 and self.memory_s > 0 and self.prior_session_s > 0):
            raise ValueError("a load needs slack in (0, 1), the rest above 0")


class PoolLoad:
    """Of one pool, as one gateway knows it. `now` never goes back."""

    def __init__(self, options: LoadOptions | None = None) -> None:
        self._options = options or LoadOptions()
        self._share = 0.0
        self._slots = 0
        self._work_s = 0.0
        self._session_s = 0.0
        self._at: float | None = None
        self._sessions = 0
        self._asking = 0.0

    def on_final(self, work_s: float) -> None:
        """A worker worked so long on a final of this gateway."""
        self._work_s += work_s

    def look(self, *, share: float, slots: int, sessions: int, newcomers: int, now: float) -> None:
        """The workers say what finals use; `sessions` of this gateway have been there for a while, others have not."""
        if self._at is not None:
            passed_s = now - self._at
            fades = exp(-passed_s / self._options.memory_s)
            self._work_s *= fades
            self._session_s = self._session_s * fades + self._asking * passed_s
        self._at, self._sessions, self._asking = now, sessions, sessions + _NEWCOMER * newcomers
        self._share, self._slots = share, slots

    @property
    def slots_per_session(self) -> float:
        """What one session asks for on average."""
        options = self._options
        guess = (1 - options.slack / sqrt(max(1, self._slots))) / options.sessions_per_slot
        weight = options.prior_session_s
        return (self._work_s + guess * weight) / (self._session_s + weight)

    @property
    def room(self) -> float:
        """Sessions that there is room for beside those whose finals the workers have felt; 0 if there are too many."""
        # What workers say is a mean over some seconds: of a crowd that grows it is too little.
        used = max(self._share * self._slots, self._sessions * self.slots_per_session)
        return max(0.0, self._usable - used) / self.slots_per_session

    @property
    def _usable(self) -> float:
        """In slots."""
        return self._slots - self._options.slack * sqrt(self._slots)
