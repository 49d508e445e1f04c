"""When a final that a worker has and does not answer is asked for a second time, so that another worker may be faster.

A worker that hangs, swaps or has died unnoticed holds its finals far longer than the pool usually does. What is usual
is measured: the time from a worker's taking a final to its answer, over the newest answers of the pool. A final that
takes longer than almost all of them is hedged, once. Hedges are bought with tokens that answers earn, so that a pool
that slows down as a whole is not given more work for it.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeOptions:
    """In seconds of wall time unless named otherwise. ValueError if a value is out of range."""

    enabled: bool = True
    quantile: float = 0.99
    floor_s: float = 1.0
    """No final is hedged sooner, however fast the pool is."""
    unknown_s: float = 5.0
    """The wait until `min_answers` were measured."""
    unnoticed_s: float = 0.75
    """The wait for a final that the broker gave out and that no worker says it has: who got it died in that moment, or
    stands still."""
    min_answers: int = 100
    max_answers: int = 500
    """Answers remembered; older ones are forgotten."""
    share: float = 0.05
    """Hedges for each final that was answered."""
    burst: float = 3.0
    """Hedges that may be saved up, for a worker that hangs with all that it holds."""

    def __post_init__(self) -> None:
        if not (0 < self.quantile < 1 and 0 < min(self.floor_s, self.unknown_s, self.unnoticed_s)):
            raise ValueError("quantile must be in (0, 1), floor_s, unknown_s and unnoticed_s above 0")
        if not (0 < self.min_answers <= self.max_answers and 0 <= self.share <= 1 <= self.burst):
            raise ValueError("hedging needs 0 < min_answers <= max_answers, share in [0, 1] and burst of at least 1")


class Hedging:
    """What one gateway knows of one pool; shared by the pool's sessions."""

    def __init__(self, options: HedgeOptions | None = None) -> None:
        self._options = options or HedgeOptions()
        self._newest: deque[float] = deque()
        self._sorted: list[float] = []
        self._tokens = self._options.burst
        self._workers: Set[str] = frozenset()

    def on_workers(self, workers: Set[str]) -> None:
        """These workers of the pool are alive."""
        self._workers = workers

    @property
    def has_others(self) -> bool:
        """Whether what one worker has could be another's."""
        return len(self._workers) >= 2

    def has_other_than(self, worker: str) -> bool:
        """Whether somebody lives who is not this one, which may live or not."""
        return bool(self._workers - {worker})

    def on_answer(self, held_s: float) -> None:
        """A final was answered so long after a worker took it."""
        self._newest.append(held_s)
        insort(self._sorted, held_s)
        if len(self._newest) > self._options.max_answers:
            del self._sorted[bisect_left(self._sorted, self._newest.popleft())]
        self._tokens = min(self._options.burst, self._tokens + self._options.share)

    @property
    def wait_s(self) -> float | None:
        """Time after its taking at which a final is hedged; None while there is nobody else who could take it."""
        options = self._options
        if not options.enabled or not self.has_others:
            return None
        if len(self._sorted) < options.min_answers:
            return options.unknown_s
        return max(options.floor_s, self._sorted[int(options.quantile * (len(self._sorted) - 1))])

    @property
    def unnoticed_wait_s(self) -> float | None:
        """The same for a final that no worker says it has; one worker is enough, for who has it may count no more."""
        if not self._options.enabled or not self._workers:
            return None
        return min(self.wait_s or self._options.unnoticed_s, self._options.unnoticed_s)

    def spend(self) -> bool:
        """Take a token for one hedge; False if there is none."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
