"""Events between the socket reader and the application, bounded."""

from collections import OrderedDict
from collections.abc import Hashable

import msgspec

from bus.contract.client_protocol import (
    AudioCommitted,
    ChatDelta,
    ServerEvent,
    SessionResumed,
    TranscriptFailed,
    TranscriptFinal,
    TranscriptPartial,
)

MAX_EVENTS = 4096


class EventInbox:
    """Queue of events that the application has not taken yet. Pure; one owner.

    Only the newest partial of a segment waits, and only the newest commit: it takes its predecessor's place at
    the end of the queue; a segment's result removes its partial, and a resume those of all segments. Deltas of one
    answer that wait are joined into one, with the `seq` of the newest. Everything else waits in order of arrival.
    Overflow rule: nothing else is dropped; when `is_full`, the owner stops reading the socket, and the service
    may then close the session as too slow.
    """

    def __init__(self, *, max_events: int = MAX_EVENTS) -> None:
        self._max_events = max_events
        self._events: OrderedDict[Hashable, ServerEvent] = OrderedDict()

    @property
    def is_full(self) -> bool:
        """Tell whether the reader must pause before it puts more."""
        return len(self._events) >= self._max_events

    def put(self, event: ServerEvent) -> None:
        """Queue `event`, and drop what it makes stale."""
        key: Hashable = event.seq
        match event:
            case TranscriptPartial(segment=segment):
                key = ("partial", segment)
                self._events.pop(key, None)
            case TranscriptFinal(segment=segment) | TranscriptFailed(segment=segment):
                self._events.pop(("partial", segment), None)
            case SessionResumed():
                for partial in [key for key, held in self._events.items() if isinstance(held, TranscriptPartial)]:
                    del self._events[partial]
            case AudioCommitted():
                key = "committed"
                self._events.pop(key, None)
            case ChatDelta(answer=answer, text=text):
                key = ("delta", answer)
                earlier = self._events.pop(key, None)
                if isinstance(earlier, ChatDelta):
                    event = msgspec.structs.replace(event, text=earlier.text + text)
            case _:
                pass
        self._events[key] = event

    def take(self) -> ServerEvent | None:
        """Give the oldest event, or None when there is none."""
        return self._events.popitem(last=False)[1] if self._events else None
