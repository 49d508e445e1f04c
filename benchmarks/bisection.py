"""Search for the largest number of sessions that still holds a bar, one trial at a time. Pure."""

from collections.abc import Mapping


def next_trial(held: Mapping[int, bool], *, start: int = 1, limit: int) -> int | None:
    """The number to try next, given which numbers held so far; None when the answer is known (`most_held`).

    Doubles from `start` until a number does not hold, then halves the gap. Assumes that where a number holds every
    smaller one does; if trials contradict that, the smallest failure counts. Never above `limit`.
    """
    failed = min((number for number, good in held.items() if not good), default=limit + 1)
    best = most_held(held)
    if best + 1 >= failed:
        return None
    if failed > limit:
        return min(limit, max(start, 2 * best))
    return (best + failed) // 2


def most_held(held: Mapping[int, bool]) -> int:
    """The largest number that held below every failure; 0 for none."""
    failed = min((number for number, good in held.items() if not good), default=None)
    return max((number for number, good in held.items() if good and (failed is None or number < failed)), default=0)
