"""Keeps the worker's jobs from their arrival to their result: how many to take, what to run next. Pure.

A job is *preparing* (its features are being computed), then *waiting*, then *running*, then gone. The number of jobs
that do not run yet is bounded for each kind; the worker pulls only as many as `room` says, the rest stays with the
broker for other workers. One partial per session waits: a newer one replaces it, and so does a final of its segment.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from asr_workers.batch.arrivals import Arrivals
from asr_workers.batch.costs import CallTime, CostModel, LearntCost
from asr_workers.batch.plan import Batch, BatchPlan, Group, PlanLimits, Running, Waiting, plan_batch
from bus.contract.work import WindowKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What the scheduler must know of a job when it arrives."""

    job: int
    kind: WindowKind
    session: str
    segment: int
    window: int
    since: float


class _Phase(Enum):
    PREPARING = auto()
    WAITING = auto()
    RUNNING = auto()


@dataclass(slots=True)
class _Entry:
    arrival: Arrival
    phase: _Phase = _Phase.PREPARING
    group: Group = field(default=Group(0, 0))


@dataclass(frozen=True, slots=True)
class _Call:
    context_s: int
    ends_at: float


class Scheduler:
    """Single-threaded. Unknown job numbers are ignored: their job was replaced or withdrawn in the meantime."""

    def __init__(
        self, limits: PlanLimits, *, finals_held: int, partials_held: int, costs: CostModel | None = None
    ) -> None:
        self._limits = limits
        self._costs = costs or CostModel()
        self._arrivals = Arrivals()
        self._held_limit: dict[WindowKind, int] = {"final": finals_held, "partial": partials_held}
        self._entries: dict[int, _Entry] = {}
        self._running: dict[Batch, _Call] = {}

    def room(self, kind: WindowKind) -> int:
        """How many more jobs of this kind may be taken now."""
        return max(0, self._held_limit[kind] - self.held(kind))

    def held(self, kind: WindowKind) -> int:
        """Jobs of this kind that do not run yet."""
        return self._count(lambda e: e.arrival.kind == kind and e.phase is not _Phase.RUNNING)

    def running(self) -> int:
        """Jobs in model calls."""
        return self._count(lambda e: e.phase is _Phase.RUNNING)

    def admit(self, arrival: Arrival) -> tuple[int, ...]:
        """Take a job; returns the jobs that this made pointless, perhaps the new one. They are forgotten here."""
        self._entries[arrival.job] = _Entry(arrival)
        partials = [
            e.arrival
            for e in self._entries.values()
            if e.arrival.kind == "partial" and e.phase is not _Phase.RUNNING and e.arrival.session == arrival.session
        ]
        if arrival.kind == "partial":
            newest = max(partials, key=lambda p: (p.window, p.job))
            stale = [p.job for p in partials if p.job != newest.job]
        else:
            stale = [p.job for p in partials if p.segment == arrival.segment]
        for job in stale:
            del self._entries[job]
        return tuple(stale)

    def prepared(self, job: int, group: Group) -> None:
        """The job's features are ready."""
        arrival = self._wait(job, group)
        if arrival is not None:
            self._arrivals.on_arrival(arrival.kind, group.context_s, arrival.since)

    def plan(self, now: float) -> BatchPlan:
        """Choose what runs now; the chosen jobs count as running until `finish`."""
        plan = plan_batch(
            [
                Waiting(job=job, kind=e.arrival.kind, group=e.group, since=e.arrival.since)
                for job, e in self._entries.items()
                if e.phase is _Phase.WAITING
            ],
            [Running(kind=batch.kind, ends_at=call.ends_at) for batch, call in self._running.items()],
            now=now,
            limits=self._limits,
            costs=self._costs,
            gap_s=lambda kind, context_s: self._arrivals.gap_s(kind, context_s, now),
            finals_to_come=self._count(lambda e: e.arrival.kind == "final" and e.phase is _Phase.PREPARING),
        )
        for batch in plan.batches:
            context_s = self._entries[batch.jobs[0]].group.context_s
            takes_s = self._costs.seconds(batch.kind, context_s, len(batch.jobs))
            self._running[batch] = _Call(context_s, now + takes_s)
            for job in batch.jobs:
                self._entries[job].phase = _Phase.RUNNING
        return plan

    def finish(self, batch: Batch, *, took_s: float | None = None) -> None:
        """The model call is over: its executor is free. Each job then leaves by `remove` or goes on by `again`.

        `took_s` is learnt from; None for a call that tells nothing, because it failed.
        """
        call = self._running.pop(batch)
        if took_s is not None:
            self._costs.learn(
                CallTime(kind=batch.kind, context_s=call.context_s, windows=len(batch.jobs), seconds=took_s)
            )

    def learnt(self) -> tuple[LearntCost, ...]:
        """What calls take, as far as it was learnt."""
        return self._costs.learnt()

    def again(self, job: int, group: Group) -> None:
        """The job needs another model call; it keeps its age, so it is among the next."""
        self._wait(job, group)

    def remove(self, job: int) -> None:
        """The job is done, or failed."""
        self._entries.pop(job, None)

    def withdraw(self) -> tuple[int, ...]:
        """Forget all jobs that do not run, for somebody else to do; returns them."""
        jobs = tuple(job for job, entry in self._entries.items() if entry.phase is not _Phase.RUNNING)
        for job in jobs:
            del self._entries[job]
        return jobs

    def _wait(self, job: int, group: Group) -> Arrival | None:
        entry = self._entries.get(job)
        if entry is None:
            return None
        entry.group = group
        entry.phase = _Phase.WAITING
        return entry.arrival

    def _count(self, condition: Callable[[_Entry], bool]) -> int:
        return sum(1 for entry in self._entries.values() if condition(entry))
