"""How many people can speak at once, from what model calls cost: a simulation around the worker's own scheduler. Pure.

The model. People speak and pause for lengths drawn evenly from `Talk`. While one speaks, a partial is asked for every
`partial_every_s`, or as soon as the one before is answered, if that is later. A final is asked for after
`tentative_s` of silence and counts from the true end of speech; it is not shown before `endpoint_s`. Windows queue as
with the broker, one worker takes them as its scheduler has room, and batches take what was measured for their size. The
bus, the features (computed on the CPU) and second decodes of refused texts take nothing here, and intervals do not
stretch under load: so the figure is the GPU's, not a whole service's.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import NamedTuple, TypeAlias

from asr_workers.batch.costs import CallTime, CostModel
from asr_workers.batch.plan import Batch, Group, PlanLimits
from asr_workers.batch.scheduler import Arrival, Scheduler
from benchmarks.scoring import percentile
from bus.contract.work import WindowKind

CallSeconds: TypeAlias = Callable[[WindowKind, int], float]
"""How long a model call with so many windows takes."""

BOUND_S = 1.0
"""Within which a wait is in time."""
_PRECISION = 0.05
_SIMULATED_FINALS = 400
_SIMULATED_S = (20.0, 120.0)
_GROUPS = {"partial": Group(8, 0), "final": Group(15, 0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """How people speak and what the service asks for meanwhile, in seconds."""

    utterance_s: tuple[float, float] = (2.0, 12.0)
    pause_s: tuple[float, float] = (0.8, 4.0)
    partial_every_s: float = 0.4
    tentative_s: float = 0.2
    endpoint_s: float = 0.5


class Waits(NamedTuple):
    """95th percentiles in seconds."""

    final_p95_s: float
    """From the end of speech."""
    partial_p95_s: float
    """From when it was asked for; partials that a final overtook do not count."""


def call_seconds(points: Sequence[tuple[int, float]], windows: int) -> float:
    """Seconds of a call between the measured (batch, seconds); below the smallest it costs the same, above in ratio."""
    known = sorted(points)
    (low, low_s), *_ = known
    for high, high_s in known:
        if windows <= high:
            share = 1.0 if high == low else (windows - low) / (high - low)
            return low_s if windows <= low else low_s + share * (high_s - low_s)
        low, low_s = high, high_s
    return low_s * windows / low


def most_streams(fits: Callable[[int], bool], *, at_least: int = 0) -> int:
    """The largest number that fits, to 5%; numbers up to `at_least` are known to. `fits` must be monotonous."""
    low, high = at_least, max(1, 2 * at_least)
    while fits(high):
        low, high = high, 2 * high
    while high - low > max(1, int(_PRECISION * low)):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def best_streams(batches: Sequence[int], wait_s: Callable[[int, int], float]) -> tuple[int, int]:
    """Most streams over all batch limits, and the smallest limit that holds them; `wait_s` takes streams and limit."""
    best, best_batch = 0, batches[0]
    for batch in batches:

        def fits(streams: int, batch: int = batch) -> bool:
            return wait_s(streams, batch) <= BOUND_S

        if fits(best + max(1, int(_PRECISION * best))):
            best, best_batch = most_streams(fits, at_least=best), batch
    return best, best_batch


def simulate(
    streams: int,
    call_s: CallSeconds,
    limits: PlanLimits,
    talk: Talk,
    *,
    seconds: float | None = None,
    seed: int = 0,
) -> Waits:
    """Let so many people talk for `seconds`; whatever they said is answered, however long that takes.

    By default they talk long enough for some hundred finals.
    """
    if seconds is None:
        cycle_s = (sum(talk.utterance_s) + sum(talk.pause_s)) / 2
        shortest_s, longest_s = _SIMULATED_S
        seconds = min(longest_s, max(shortest_s, _SIMULATED_FINALS * cycle_s / streams))
    return _Room(streams, call_s, limits, talk, seconds, Random(seed)).run()


@dataclass(slots=True)
class _Person:
    """One session. `speaks_until` is 0 in a pause."""

    segment: int = 0
    window: int = 0
    speaks_until: float = 0.0
    in_flight: bool = False
    next_partial_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Asked:
    person: int
    kind: WindowKind
    segment: int
    at: float
    """What its wait counts from."""


@dataclass(slots=True)
class _Room:
    streams: int
    call_s: CallSeconds
    limits: PlanLimits
    talk: Talk
    seconds: float
    random: Random
    people: list[_Person] = field(default_factory=list)
    events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    order: "itertools.count[int]" = field(default_factory=itertools.count)
    asked: dict[int, _Asked] = field(default_factory=dict)
    waits: dict[WindowKind, list[float]] = field(default_factory=lambda: {"final": [], "partial": []})
    broker: dict[WindowKind, deque[int]] = field(default_factory=lambda: {"final": deque(), "partial": deque()})
    costs: CostModel = field(init=False)
    scheduler: Scheduler = field(init=False)

    def run(self) -> Waits:
        most = max(self.limits.final_batch, self.limits.partial_batch)
        self.costs = CostModel(self._warm_up())
        self.scheduler = Scheduler(
            self.limits,
            finals_held=max(self.limits.executors, most),
            partials_held=self.limits.partial_batch,
            costs=self.costs,
        )
        self.people = [_Person() for _ in range(self.streams)]
        cycle_s = (sum(self.talk.utterance_s) + sum(self.talk.pause_s)) / 2
        for number in range(self.streams):
            self._later(self.random.uniform(0, min(cycle_s, self.seconds / 2)), self._speak, number)
        while self.events:
            now, _, action = heapq.heappop(self.events)
            action(now)
            if not self.events or self.events[0][0] > now:
                self._work(now)
        return Waits(
            final_p95_s=percentile(self.waits["final"], 95), partial_p95_s=percentile(self.waits["partial"], 95)
        )

    def _warm_up(self) -> list[CallTime]:
        """What a worker times at its start: a window alone and a full batch, of each kind."""
        batches: list[tuple[WindowKind, int]] = [
            ("final", self.limits.final_batch),
            ("partial", self.limits.partial_batch),
        ]
        return [
            CallTime(kind=kind, context_s=_GROUPS[kind].context_s, windows=windows, seconds=self.call_s(kind, windows))
            for kind, full in batches
            for windows in (1, full)
        ]

    def _later(self, at: float, action: Callable[[float, int], None], number: int) -> None:
        heapq.heappush(self.events, (at, next(self.order), lambda now: action(now, number)))

    def _speak(self, now: float, number: int) -> None:
        if now > self.seconds:
            return
        person = self.people[number]
        person.segment += 1
        person.speaks_until = now + self.random.uniform(*self.talk.utterance_s)
        person.next_partial_at = now + self.talk.partial_every_s
        self._later(person.next_partial_at, self._maybe_ask, number)
        self._later(person.speaks_until, self._stop, number)

    def _stop(self, now: float, number: int) -> None:
        self.people[number].speaks_until = 0.0
        self._later(now + self.talk.tentative_s, self._ask_final, number)
        self._later(now + self.random.uniform(*self.talk.pause_s), self._speak, number)

    def _maybe_ask(self, now: float, number: int) -> None:
        person = self.people[number]
        if person.in_flight or not person.next_partial_at <= now < person.speaks_until:
            return
        person.in_flight = True
        person.next_partial_at = now + self.talk.partial_every_s
        self._ask(number, "partial", now)

    def _ask_final(self, now: float, number: int) -> None:
        self._ask(number, "final", now - self.talk.tentative_s)

    def _ask(self, number: int, kind: WindowKind, at: float) -> None:
        job = next(self.order)
        self.asked[job] = _Asked(number, kind, self.people[number].segment, at)
        self.broker[kind].append(job)

    def _work(self, now: float) -> None:
        """Take what there is room for and start what the scheduler plans, until nothing changes."""
        while self._pull(now) or self._start(now):
            pass

    def _pull(self, now: float) -> bool:
        pulled = False
        for kind in ("final", "partial"):
            while self.broker[kind] and self.scheduler.room(kind):
                pulled = True
                self._admit(self.broker[kind].popleft(), now)
        return pulled

    def _admit(self, job: int, now: float) -> None:
        asked = self.asked[job]
        person = self.people[asked.person]
        person.window += 1
        stale = self.scheduler.admit(
            Arrival(
                job=job,
                kind=asked.kind,
                session=str(asked.person),
                segment=asked.segment,
                window=person.window,
                since=now,
            )
        )
        self.scheduler.prepared(job, _GROUPS[asked.kind])
        for overtaken in stale:
            self._answered(self.asked.pop(overtaken), now)

    def _start(self, now: float) -> bool:
        batches = self.scheduler.plan(now).batches
        for batch in batches:
            took_s = self.call_s(batch.kind, len(batch.jobs))
            finish: Callable[[float], None] = partial(self._finish, batch, took_s)
            heapq.heappush(self.events, (now + took_s, next(self.order), finish))
        return bool(batches)

    def _finish(self, batch: Batch, took_s: float, now: float) -> None:
        self.scheduler.finish(batch)
        context_s = _GROUPS[batch.kind].context_s
        self.costs.learn(CallTime(kind=batch.kind, context_s=context_s, windows=len(batch.jobs), seconds=took_s))
        for job in batch.jobs:
            self.scheduler.remove(job)
            asked = self.asked.pop(job)
            shown_at = max(now, asked.at + self.talk.endpoint_s) if asked.kind == "final" else now
            self.waits[asked.kind].append(shown_at - asked.at)
            self._answered(asked, now)

    def _answered(self, asked: _Asked, now: float) -> None:
        """A partial that is out of the way makes room for the next, at its time."""
        if asked.kind == "partial":
            person = self.people[asked.person]
            person.in_flight = False
            self._later(max(now, person.next_partial_at), self._maybe_ask, asked.person)
