"""Events waiting for a client that may read slowly. Bounded, with a written rule for each kind:

- `Partial`: only the newest of a segment waits; its `Final` or `Failed` makes it stale.
- `Committed`: only the newest waits.
- `ChatDelta`: those of an answer that wait are joined into one, and none is lost.
- everything else is kept in order, and never dropped: when more than `max_events` wait, or frames that a dialect has
  spelled of more than `_MAX_SPELLED_CHARS`, the client is too slow.
"""

from collections import OrderedDict

from stream_gateway.session.events import ChatDelta, Committed, Failed, Final, Partial, SessionEvent, Spelled

_MAX_SPELLED_CHARS = 4 * 1024 * 1024


class Outbox:
    """A bounded queue of events; not thread-safe."""

    def __init__(self, *, max_events: int) -> None:
        self._max_events = max_events
        self._waiting: OrderedDict[object, SessionEvent] = OrderedDict()
        self._next_key = 0
        self._spelled_chars = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, event: SessionEvent) -> bool:
        """Queue `event`. False means that the client reads too slowly and must be closed."""
        match event:
            case Partial(segment=segment):
                self._replace(("partial", segment), event)
            case Committed():
                self._replace("committed", event)
            case ChatDelta(answer=answer, text=text):
                waiting = self._waiting.get(("delta", answer))
                before = waiting.text if isinstance(waiting, ChatDelta) else ""
                self._replace(("delta", answer), ChatDelta(answer, before + text))
            case Final(segment=segment) | Failed(segment=segment):
                self._waiting.pop(("partial", segment), None)
                self._append(event)
            case Spelled(text):
                self._spelled_chars += len(text)
                self._append(event)
            case _:
                self._append(event)
        return len(self._waiting) <= self._max_events and self._spelled_chars <= _MAX_SPELLED_CHARS

    def take(self) -> SessionEvent | None:
        """Remove and return the event that is next in line, or None."""
        if not self._waiting:
            return None
        event = self._waiting.popitem(last=False)[1]
        if isinstance(event, Spelled):
            self._spelled_chars -= len(event.text)
        return event

    def _append(self, event: SessionEvent) -> None:
        self._waiting[self._next_key] = event
        self._next_key += 1

    def _replace(self, key: object, event: SessionEvent) -> None:
        # To the tail, not in place: an event that was emitted in between must not come after this newer one.
        self._waiting.pop(key, None)
        self._waiting[key] = event
