"""Keeps the worker's jobs from their arrival to their result: how many to take, what to run next. Pure.

A job is *preparing* (its features are being computed), then *waiting*, then *running*, then gone. The number of jobs
that do not run yet is bounded for each kind; the worker pulls only as many as `room` says, the rest stays with the
broker for other workers. One partial per session waits: a newer one replaces it, and so does a final of its segment.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from asr_workers.batch.plan import Batch, BatchPlan, Group, PlanLimits, Waiting, plan_batch
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


class Scheduler:
    """Single-threaded. Unknown job numbers are ignored: their job was replaced or withdrawn in the meantime."""

    def __init__(self, limits: PlanLimits, *, finals_held: int, partials_held: int) -> None:
        self._limits = limits
        self._held_limit: dict[WindowKind, int] = {"final": finals_held, "partial": partials_held}
        self._entries: dict[int, _Entry] = {}
        self._running_batches: dict[WindowKind, int] = {"final": 0, "partial": 0}

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
        entry = self._entries.get(job)
        if entry is not None:
            entry.group = group
            entry.phase = _Phase.WAITING

    def plan(self, now: float) -> BatchPlan:
        """Choose what runs now; the chosen jobs count as running until `finish`."""
        plan = plan_batch(
            [
                Waiting(job=job, kind=e.arrival.kind, group=e.group, since=e.arrival.since)
                for job, e in self._entries.items()
                if e.phase is _Phase.WAITING
            ],
            now=now,
            running_finals=self._running_batches["final"],
            running_partials=self._running_batches["partial"],
            limits=self._limits,
        )
        for batch in plan.batches:
            self._running_batches[batch.kind] += 1
            for job in batch.jobs:
                self._entries[job].phase = _Phase.RUNNING
        return plan

    def finish(self, batch: Batch) -> None:
        """The model call is over: its executor is free. Each job then leaves by `remove` or goes on by `again`."""
        self._running_batches[batch.kind] -= 1

    def again(self, job: int, group: Group) -> None:
        """The job needs another model call; it keeps its age, so it is among the next."""
        self.prepared(job, group)

    def remove(self, job: int) -> None:
        """The job is done, or failed."""
        self._entries.pop(job, None)

    def withdraw(self) -> tuple[int, ...]:
        """Forget all jobs that do not run, for somebody else to do; returns them."""
        jobs = tuple(job for job, entry in self._entries.items() if entry.phase is not _Phase.RUNNING)
        for job in jobs:
            del self._entries[job]
        return jobs

    def _count(self, condition: Callable[[_Entry], bool]) -> int:
        return sum(1 for entry in self._entries.values() if condition(entry))
