"""Where to cut speech that does not pause. Pure."""

from collections.abc import Sequence
from operator import mul

_WEIGHTS = (1, 2, 3, 2, 1)
"""A pause is sought in values smoothed over 160 ms: one low frame is a consonant, not a pause."""


def quietest_frame(values: Sequence[float]) -> float:
    """Middle of the quietest stretch, in frames from the first of at least five values.

    The latest of equals, which gives the decoder more context.
    """
    width = len(_WEIGHTS)
    smoothed = [sum(map(mul, values[i : i + width], _WEIGHTS)) for i in range(len(values) - width + 1)]
    return min(range(len(smoothed)), key=lambda i: (smoothed[i], -i)) + width / 2
