"""A pool of workers, a gateway's doorkeeper and people who come, speak and go, in simulated time."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from math import exp

from stream_gateway.policy.admission import Admission
from stream_gateway.policy.doorkeeper import AdmissionLimits, Doorkeeper, PoolState
from stream_gateway.policy.pool import Pool
from stream_gateway.policy.shortage import ProcessLimits

_ENDPOINT_S = 0.5
_LOOK_EVERY_S = 0.25
_FOLLOW_EVERY_S = 1.0
TENANT = "t"


@dataclass(frozen=True, kw_only=True)
class World:
    """What does not change."""

    slots: int = 2
    final_s: float = 0.4
    partial_s: float = 0.2
    session_s: float = 60.0
    partials: bool = True

    @property
    def capacity(self) -> float:
        """Sessions whose finals alone keep the slots busy: one every 6.75 s, pauses included."""
        return self.slots * 6.75 / self.final_s


@dataclass
class _Job:
    is_final: bool
    owner: "_Visitor"
    since: float


@dataclass
class _Visitor:
    name: str
    leaves_at: float
    chance: random.Random
    has_partial: bool = False


@dataclass
class Crowd:
    """One run. `come` and `at` plan it, `run` runs it."""

    world: World
    seed: int = 1
    now: float = 0.0
    finals_s: list[tuple[float, float]] = field(default_factory=list)
    """When each came, and how long after the end of speech."""
    admitted: list[float] = field(default_factory=list)
    most_inside: int = 0
    refused: list[tuple[float, Admission]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = Pool()
        self.slots = self.world.slots
        self._left_at: float | None = None
        self.keeper = Doorkeeper(AdmissionLimits(max_sessions=100_000), ProcessLimits())
        self._chance = random.Random(self.seed)
        self._numbers = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._finals: deque[_Job] = deque()
        self._partials: deque[_Job] = deque()
        self._busy = 0
        self._busy_finals = 0
        self._load = 0.0
        self._load_at = 0.0
        self._taken = 0
        self.at(0.0, self._look)
        self.at(0.0, self._follow)

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Plan something."""
        heapq.heappush(self._events, (when, next(self._numbers), what))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until

    def come(self, when: float, *, patience_s: float = 0.0) -> None:
        """Somebody comes, and if refused comes again when told, for so long."""

        def knock() -> None:
            admission = self.keeper.admission(TENANT, self.now)
            if admission.admitted:
                self._enter()
            else:
                self.refused.append((self.now, admission))
                again = self.now + admission.retry_after_s
                if again <= when + patience_s:
                    self.at(again, knock)

        self.at(when, knock)

    def all_leave(self) -> None:
        """Nobody speaks again."""
        self._left_at = self.now

    def _enter(self) -> None:
        self.admitted.append(self.now)
        name = f"s{len(self.admitted)}"
        chance = random.Random(f"{self.seed} {name}")
        visitor = _Visitor(name, self.now + self.world.session_s * chance.uniform(0.6, 1.4), chance)
        self.keeper.inside.on_opened(name, TENANT, self.now)
        self.most_inside = max(self.most_inside, len(self.keeper.inside))
        self._speak(visitor)

    def _speak(self, visitor: _Visitor) -> None:
        if self.now >= visitor.leaves_at or self._left_at is not None:
            self.keeper.inside.on_closed(visitor.name)
            return
        end = self.now + visitor.chance.uniform(3, 8)
        if self.world.partials:
            self.at(self.now + 0.4, lambda: self._wish_partial(visitor, end))

        def ended() -> None:
            self._finals.append(_Job(True, visitor, self.now))
            self._serve()
            self.at(self.now + visitor.chance.uniform(0.25, 1.25), lambda: self._speak(visitor))

        self.at(end + _ENDPOINT_S, ended)

    def _wish_partial(self, visitor: _Visitor, end: float) -> None:
        if self.now >= end:
            return
        if not visitor.has_partial and self.pool.lag.admit_partial(self.now):
            visitor.has_partial = True
            self._partials.append(_Job(False, visitor, self.now))
            self._serve()
        self.at(self.now + self.pool.lag.interval_s(visitor.chance.random()), lambda: self._wish_partial(visitor, end))

    def _serve(self) -> None:
        while self._busy < self.slots and (self._finals or self._partials):
            job = self._finals.popleft() if self._finals else self._partials.popleft()
            self._taken += job.is_final
            self._busy += 1
            self._occupy(job.is_final)
            usual_s = self.world.final_s if job.is_final else self.world.partial_s
            took_s = usual_s * self._chance.uniform(0.6, 1.4)
            self.at(self.now + took_s, lambda job=job, took_s=took_s: self._done(job, took_s))  # type: ignore[misc]

    def _done(self, job: _Job, took_s: float) -> None:
        self._busy -= 1
        self._occupy(-job.is_final)
        if job.is_final:
            self.pool.load.on_final(took_s)
            self.pool.lag.on_final(self.now - job.since - took_s, self.now)
            self.finals_s.append((self.now, self.now - job.since + _ENDPOINT_S))
        else:
            job.owner.has_partial = False
            self.pool.lag.on_partial(self.now - job.since, self.now)
        self._serve()

    def _occupy(self, finals: int) -> None:
        """What workers say is smoothed over some seconds."""
        fades = exp(-(self.now - self._load_at) / 10)
        self._load = fades * self._load + (1 - fades) * self._busy_finals
        self._load_at = self.now
        self._busy_finals += finals

    def _look(self) -> None:
        self._occupy(0)
        self.keeper.look({"std": PoolState(self.pool, self.slots, min(1.0, self._load / self.slots))}, self.now)
        self.at(self.now + _LOOK_EVERY_S, self._look)

    def _follow(self) -> None:
        self.pool.lag.on_queue(len(self._finals), self._taken, self.now)
        self.at(self.now + _FOLLOW_EVERY_S, self._follow)
