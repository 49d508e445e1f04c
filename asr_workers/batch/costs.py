"""How long model calls take here: learnt at warm-up, then from every call. Pure.

For each kind of window and encoder context a call of n windows is taken to last `first_s + (n - 1) * further_s`. The
first call of one window and the first of several give that line; each later one moves it by a part of its error
(normalised least mean squares): early ones by more, as in a mean, and always by `_LEAST_SHARE`, so that a machine that
gets slower is followed within some ten calls.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bus.contract.work import WindowKind

_LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTime:
    """One model call that was timed."""

    kind: WindowKind
    context_s: int
    windows: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntCost:
    """What is known of one kind of window and context."""

    kind: WindowKind
    context_s: int
    first_s: float
    """A call with one window."""
    further_s: float
    """What each further window adds to it."""

    def seconds(self, windows: int) -> float:
        """A call of so many windows, at least one."""
        return self.first_s + (windows - 1) * self.further_s


class CostModel:
    """Not thread-safe. Before anything was learnt calls count as free: a plan then fills the executors as it can."""

    def __init__(self, timed: Iterable[CallTime] = ()) -> None:
        self._learnt: dict[tuple[WindowKind, int], LearntCost] = {}
        self._calls: dict[tuple[WindowKind, int], tuple[int, int]] = {}
        """How many calls of one window, and of several."""
        for one in timed:
            self.learn(one)

    def seconds(self, kind: WindowKind, context_s: int, windows: int) -> float:
        """Expected time of a call of `windows`, at least one."""
        known = self._cost(kind, context_s)
        return known.seconds(windows) if known else 0.0

    def further_s(self, kind: WindowKind, context_s: int) -> float:
        """What one more window adds to a call."""
        known = self._cost(kind, context_s)
        return known.further_s if known else 0.0

    @property
    def knows_batches(self) -> bool:
        """Whether a call of several windows was ever timed."""
        return any(together for _, together in self._calls.values())

    def learn(self, timed: CallTime) -> None:
        """Take one finished call into account."""
        key = (timed.kind, timed.context_s)
        before = self._cost(*key)
        if before is None:
            # Nothing to compare with. Windows that save nothing together are the careful guess.
            each_s = timed.seconds / timed.windows
            before = LearntCost(kind=timed.kind, context_s=timed.context_s, first_s=each_s, further_s=each_s)
        alone, together = self._calls.get(key, (0, 0))
        others = timed.windows - 1
        if alone and others and not together:
            first_s, further_s = before.first_s, (timed.seconds - before.first_s) / others
        else:
            share = max(_LEAST_SHARE, 1 / (1 + alone + together))
            step_s = share * (timed.seconds - before.seconds(timed.windows)) / (1 + others**2)
            first_s, further_s = before.first_s + step_s, before.further_s + others * step_s
        first_s = max(0.0, first_s)
        self._calls[key] = (alone, together + 1) if others else (alone + 1, together)
        self._learnt[key] = LearntCost(
            kind=timed.kind,
            context_s=timed.context_s,
            first_s=first_s,
            further_s=min(first_s, max(0.0, further_s)),
        )

    def learnt(self) -> tuple[LearntCost, ...]:
        """All that is known from calls, in order of kind and context."""
        return tuple(self._learnt[key] for key in sorted(self._learnt))

    def _cost(self, kind: WindowKind, context_s: int) -> LearntCost | None:
        """What is known; else scaled from the nearest context, of the same kind if there is one."""
        known = self._learnt.get((kind, context_s))
        if known is not None or not self._learnt:
            return known
        nearest = min(
            self._learnt.values(),
            key=lambda one: (one.kind != kind, abs(one.context_s - context_s), one.context_s),
        )
        scale = context_s / nearest.context_s
        return LearntCost(
            kind=kind, context_s=context_s, first_s=scale * nearest.first_s, further_s=scale * nearest.further_s
        )
