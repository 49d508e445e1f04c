"""What is told of answers, in order, each once all turns before it are stored. Pure.

So whichever gateway a client resumes on, what a part of an answer answers is there, and so is all of an answer that is
over. A store takes less time than a model takes to its first word: mostly nothing waits. Where it takes longer than
`_LATE_S`, people come first.
"""

from collections import deque
from dataclasses import dataclass, field

from stream_gateway.session.effects import Effect, Emit
from stream_gateway.session.events import SessionEvent

_LATE_S = 1.0


@dataclass(slots=True)
class _Item:
    event: SessionEvent = field(repr=False)
    after: int
    """Number of the turn that is to be stored before."""
    tell_by: float | None = None


class News:
    """`settle` is called after every change, and at `deadline`. Holds back what came within `_LATE_S`, no more.

    Where nobody can resume, `waits` is False, and all is told at once.
    """

    def __init__(self, *, waits: bool) -> None:
        self._items: deque[_Item] = deque()
        self._late_s = _LATE_S if waits else 0.0

    def add(self, event: SessionEvent, *, after: int) -> None:
        """Tell this after all that was added before, and once turn number `after` is stored."""
        self._items.append(_Item(event, after))

    def settle(self, now: float, *, stored: int) -> list[Effect]:
        """What may be told now that all turns up to `stored` are."""
        for item in self._items:
            if item.tell_by is None:
                item.tell_by = now + self._late_s
        told: list[Effect] = []
        while self._items and (self._items[0].after <= stored or now >= self._deadline()):
            told.append(Emit(self._items.popleft().event))
        return told

    def deadline(self) -> float | None:
        """When to call `settle` next."""
        return self._deadline() if self._items else None

    def _deadline(self) -> float:
        tell_by = self._items[0].tell_by
        assert tell_by is not None, "settle comes before"
        return tell_by
