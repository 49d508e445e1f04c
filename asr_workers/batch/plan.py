"""Which waiting windows run now, and together with which others. Pure.

Finals go before partials and old ones before new ones. A batch holds windows of one kind and one group (same encoder
context, same prompt length), for only those can share a model call. While there is more than one executor, partials
never take the last one: a final that arrives finds it free.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bus.contract.work import WindowKind


class Group(NamedTuple):
    """Windows of equal groups fit one model call."""

    context_s: int
    prefix_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A window whose features are ready."""

    job: int
    """Unique within the worker; breaks ties."""
    kind: WindowKind
    group: Group
    since: float
    """When the worker took it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLimits:
    """What the engine can do at once."""

    executors: int
    """Model calls in parallel."""
    final_batch: int
    partial_batch: int
    max_wait_s: float = 0.0
    """How long a batch that is not full may wait for company; 0 starts it at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One model call."""

    kind: WindowKind
    jobs: tuple[int, ...]
    """Oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """What to start now, and when to look again although nothing changed (None: no need)."""

    batches: tuple[Batch, ...] = ()
    look_again_at: float | None = None


def plan_batch(
    waiting: Iterable[Waiting], *, now: float, running_finals: int, running_partials: int, limits: PlanLimits
) -> BatchPlan:
    """Fill the free executors. `running_*` count model calls. The order of `waiting` does not matter."""
    order = sorted(waiting, key=lambda w: (w.since, w.job))
    free = max(0, limits.executors - running_finals - running_partials)
    finals = _fill([w for w in order if w.kind == "final"], limits.final_batch, free, now, limits)
    left = free - len(finals.batches)
    if finals.look_again_at is not None:
        # A final waits for company for a few milliseconds: a partial started now would make it wait for a decode.
        return finals
    partial_slots = min(left, max(1, limits.executors - 1) - running_partials)
    partials = _fill([w for w in order if w.kind == "partial"], limits.partial_batch, partial_slots, now, limits)
    return BatchPlan(batches=finals.batches + partials.batches, look_again_at=partials.look_again_at)


def _fill(order: Sequence[Waiting], max_batch: int, slots: int, now: float, limits: PlanLimits) -> BatchPlan:
    """Batches for windows of one kind, oldest first, spread evenly over `slots`."""
    batches: list[Batch] = []
    look_again_at: float | None = None
    pending = list(order)
    while pending and len(batches) < slots:
        head = pending[0]
        company = [w for w in pending if w.group == head.group]
        if len(company) < max_batch and now < head.since + limits.max_wait_s:
            look_again_at = look_again_at or head.since + limits.max_wait_s  # heads come oldest first
            pending = [w for w in pending if w.group != head.group]
            continue
        share = -(-len(company) // (slots - len(batches)))
        jobs = tuple(w.job for w in company[: min(max_batch, share)])
        batches.append(Batch(kind=head.kind, jobs=jobs))
        pending = [w for w in pending if w.job not in jobs]
    return BatchPlan(batches=tuple(batches), look_again_at=look_again_at)
