"""Which waiting windows run now, and together with which others. Pure.

Finals go before partials and old ones before new ones. A batch holds windows of one kind and one group (same encoder
context, same prompt length), for only those can share a model call. What a call takes is asked of the learnt costs:

- Finals of a group are spread over the free executors, unless that takes the last one and the finals that will
  probably come meanwhile would lose more by it than these gain.
- They run together only as far as that makes the sum of all finish times smaller: where finals save little by a common
  call, as on a CPU, the first need not wait for the last.
- If more groups wait than executors are free, the one that is cheapest per window goes first, while the oldest can
  still be in time.
- A batch that is not full waits for company only where that makes the sum of all finish times smaller, which takes a
  device on which a further window costs little, and never beyond `max_wait_s` or until it is late.
- A partial takes the last free executor only if a final that came now would find one within `partial_hold_s`; if
  partials have all others, only if it is done before a final is at all likely. A lone executor has no choice; there a
  batch of partials is small enough to keep within the limit, or to take little longer than a single window.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, TypeAlias

from asr_workers.batch.costs import CostModel
from bus.contract.work import WindowKind

_STRETCH = 1.5
"""How much longer than a single window a batch of partials may take on a lone executor, if that is above the limit."""
_HARDLY = 0.05
"""A final is not to be expected within so small a part of the mean gap between finals."""

GapS: TypeAlias = Callable[[WindowKind, int | None], float]
"""Expected seconds until another window of this kind and context comes; None for any context."""


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
    final_allowance_s: float = 0.5
    """A final is due so long after it was taken."""
    partial_hold_s: float = 0.3
    """How long a final that comes may find all executors busy because a partial took the last of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A model call in progress."""

    kind: WindowKind
    ends_at: float
    """As the costs have it."""


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
    waiting: Iterable[Waiting],
    running: Sequence[Running],
    *,
    now: float,
    limits: PlanLimits,
    costs: CostModel,
    gap_s: GapS,
    finals_to_come: int = 0,
) -> BatchPlan:
    """Fill the free executors. The order of `waiting` does not matter.

    `finals_to_come` counts finals whose features are being computed: in some milliseconds each is worth an executor.
    """
    order = sorted(waiting, key=lambda w: (w.since, w.job))
    plan = _Plan(running, now=now, limits=limits, costs=costs, gap_s=gap_s)
    final_waits = plan.add_finals([w for w in order if w.kind == "final"])
    if not final_waits:
        # A final waits for company for a few milliseconds: a partial started now would make it wait for a decode.
        plan.add_partials([w for w in order if w.kind == "partial"], kept_free=finals_to_come)
    return BatchPlan(batches=tuple(plan.batches), look_again_at=min(plan.look_at, default=None))


class _Plan:
    """A plan in the making."""

    def __init__(
        self, running: Sequence[Running], *, now: float, limits: PlanLimits, costs: CostModel, gap_s: GapS
    ) -> None:
        self._now = now
        self._limits = limits
        self._costs = costs
        self._gap_s = gap_s
        self._partials = sum(one.kind == "partial" for one in running)
        # A call that is late by a second is as likely as not to take another.
        self._busy_s = [abs(one.ends_at - now) for one in running]
        """For each executor that is not free: how much longer."""
        self.batches: list[Batch] = []
        self.look_at: list[float] = []

    @property
    def free(self) -> int:
        """Executors that have nothing to do yet."""
        return self._limits.executors - len(self._busy_s)

    def add_finals(self, order: Sequence[Waiting]) -> bool:
        """Start batches of finals; True if some wait for company."""
        groups = _by_group(order)
        while groups and self.free > 0:
            company = groups[self._most_urgent(groups)]
            if self._waits(company, self._limits.final_batch):
                groups.remove(company)
                continue
            batches = self._spread(company, max(1, self.free - len(groups) + 1))
            self._start(company, self._batch_size(company, min(self._limits.final_batch, -(-len(company) // batches))))
            groups = [one for one in groups if one]
        return bool(self.look_at)

    def add_partials(self, order: Sequence[Waiting], *, kept_free: int) -> None:
        """Start batches of partials, oldest first, on the free executors that finals can spare."""
        groups = _by_group(order)
        while groups and self.free > kept_free:
            company = groups[0]
            slots = max(1, min(self.free - kept_free, self._limits.executors - 1 - self._partials))
            size = self._allowed_partials(company, min(self._limits.partial_batch, -(-len(company) // slots)))
            if size == 0:
                return
            if self._waits(company, self._limits.partial_batch):
                groups.remove(company)
                continue
            self._start(company, size)
            self._partials += 1
            groups = [one for one in groups if one]

    def _start(self, company: list[Waiting], size: int) -> None:
        """Move the oldest windows of a group into a batch."""
        head = company[0]
        self.batches.append(Batch(kind=head.kind, jobs=tuple(w.job for w in company[:size])))
        self._busy_s.append(self._cost_s(head, size))
        del company[:size]

    def _cost_s(self, one: Waiting, windows: int) -> float:
        return self._costs.seconds(one.kind, one.group.context_s, windows)

    def _batch_size(self, company: Sequence[Waiting], most: int) -> int:
        """How many finals of a group run in one call: those that come first need not wait for what gains them nothing.

        The size with the least sum of finish times, were they to follow one another, and of what those that come
        meanwhile wait; the larger of equal ones. All, until it is known what a common call takes: else nobody learns.
        """
        if not self._costs.knows_batches:
            return most
        gap_s = self._gap_s("final", None)

        def loss(size: int) -> float:
            calls = [size] * (len(company) // size) + [len(company) % size] * (len(company) % size > 0)
            ends_s = list(accumulate(self._cost_s(company[0], windows) for windows in calls))
            # ends_s[-1] / gap_s finals come until all have run, and wait for half of that time on average.
            own_s = sum(windows * end_s for windows, end_s in zip(calls, ends_s, strict=True))
            return own_s * gap_s + ends_s[-1] ** 2 / 2

        return min(range(most, 0, -1), key=loss)

    def _most_urgent(self, groups: Sequence[Sequence[Waiting]]) -> int:
        """Index of the group of finals that goes next."""
        if len(groups) <= self.free:
            return 0
        sizes = [min(len(company), self._limits.final_batch) for company in groups]
        takes_s = [self._cost_s(company[0], size) for company, size in zip(groups, sizes, strict=True)]
        cheapest = min(range(len(groups)), key=lambda n: takes_s[n] / sizes[n])
        oldest_ends_at = self._now + takes_s[cheapest] + takes_s[0]
        return cheapest if oldest_ends_at <= groups[0][0].since + self._limits.final_allowance_s else 0

    def _spread(self, company: Sequence[Waiting], slots: int) -> int:
        """Over how many executors to spread a group of finals."""
        batches = min(slots, len(company))
        if batches < max(2, self.free):
            return batches
        apart_s, together_s = (self._cost_s(company[0], -(-len(company) // n)) for n in (batches, batches - 1))
        gained_s = len(company) * (together_s - apart_s)
        # apart_s / gap_s finals come while all executors are busy, and wait for half of that time on average.
        gap_s = self._gap_s("final", None)
        return batches if gained_s * gap_s >= apart_s * apart_s / 2 else batches - 1

    def _allowed_partials(self, company: Sequence[Waiting], size: int) -> int:
        """How many partials may start together now; 0 for none."""
        if self.free > 1:
            return size
        limit_s = self._limits.partial_hold_s
        lone = self._limits.executors == 1
        beside_final = not lone and self._partials < self._limits.executors - 1
        if beside_final and min(self._busy_s) <= limit_s:
            return size
        if lone:
            # One window must run at last; others that add little to it are worth that little.
            limit_s = max(limit_s, _STRETCH * self._cost_s(company[0], 1))
        elif not beside_final:
            # Estimates of when calls end are too rough for this one: what counts is the partial's own time.
            limit_s = min(limit_s, _HARDLY * self._gap_s("final", None))
        for windows in range(size, 0, -1):
            if self._cost_s(company[0], windows) <= limit_s:
                return windows
        if beside_final:
            self.look_at.append(self._now + min(self._busy_s) - limit_s)
        return 0

    def _waits(self, company: Sequence[Waiting], full: int) -> bool:
        """Whether a group is to wait for company rather than take the last executor; notes until when at most."""
        head, windows = company[0], len(company)
        until = head.since + self._limits.max_wait_s
        if head.kind == "final":
            until = min(until, head.since + self._limits.final_allowance_s - self._cost_s(head, full))
        gap_s = self._gap_s(head.kind, head.group.context_s)
        if windows >= full or self._now >= until or self.free > 1 or min(self._busy_s, default=gap_s) < gap_s:
            return False
        # Each of these ends later, by the gap and by what one more window takes. So does the one to come, compared
        # with a call of all, but it gains the call of its own that it would have had after this one.
        further_s = self._costs.further_s(head.kind, head.group.context_s)
        if (windows + 1) * (gap_s + further_s) >= self._cost_s(head, 1):
            return False
        self.look_at.append(until)
        return True


def _by_group(order: Sequence[Waiting]) -> list[list[Waiting]]:
    """Windows that fit one call, oldest first; the group of the oldest window first."""
    groups: dict[Group, list[Waiting]] = {}
    for one in order:
        groups.setdefault(one.group, []).append(one)
    return list(groups.values())
