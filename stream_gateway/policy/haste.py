"""Which finals are decoded in a hurry though their pool does not lag: alone, with less context, after what was shown.

Such a text comes sooner and has more wrong words (docs/performance.md), which is worth it where an answer waits for it.
Nothing is won by it where a final is decoded before the silence is over that ends its utterance, as on a GPU. Pure.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from stream_gateway.policy.smoothing import Smoothed

HurryMode: TypeAlias = Literal["never", "answers", "always"]
"""Sessions whose finals may be hurried: none, those that answer what is said, these and all with partials."""

_RISE_S = 4.0
_FALL_S = 20.0
_LEAST_SHARE = 0.5
"""Of the work for a final, what a hurried one takes at least: 0.6 to 0.75 was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HasteOptions:
    """In seconds."""

    mode: HurryMode = "answers"
    covered_s: float = 0.34
    """Work that nobody waits for: a final is asked for that long before its utterance is known to be over."""


class Haste:
    """What one gateway knows of one pool; shared by the pool's sessions. `now` never goes back."""

    def __init__(self, options: HasteOptions | None = None) -> None:
        self._options = options or HasteOptions()
        self._work = Smoothed(rise_s=_RISE_S, fall_s=_FALL_S)

    def pays(self, *, awaited: bool, watched: bool) -> bool:
        """Whether to hurry a final that is `awaited`, for it is answered, or `watched`, for partials were shown of it.

        False until a final was measured.
        """
        may = {"never": False, "answers": awaited, "always": awaited or watched}[self._options.mode]
        return may and self._work.value > self._options.covered_s

    def on_final(self, work_s: float, now: float, *, hurried: bool) -> None:
        """A worker took this long for a final.

        A hurried one only shows that the others would take no more than so much: a pool that is slow stays known as
        slow while all are hurried, and one that became fast is noticed.
        """
        most_s = work_s / _LEAST_SHARE if hurried else work_s
        if not hurried or most_s < self._work.value:
            self._work.measure(most_s, now)
