"""What goes out on one socket: events in order, as fast as the client reads, then the close."""

import asyncio
from collections.abc import Iterator

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from stream_gateway.dialects.base import Dialect
from stream_gateway.session import events
from stream_gateway.session.effects import Close
from stream_gateway.session.outbox import Outbox

_CLOSE_GRACE_S = 5.0
"""How long a client may take to read its last events before the socket is cut."""


class EventWriter:
    """`run` in a task of its own; everything else at any time, on the loop."""

    def __init__(self, socket: ServerConnection, *, dialect: Dialect, max_events: int) -> None:
        self.closing: Close | None = None
        """How the socket closes once all that was offered is sent; nothing is offered any more."""
        self.is_gone = False
        """Nobody reads."""
        self._socket = socket
        self._dialect = dialect
        self._outbox = Outbox(max_events=max_events)
        self._something_to_do = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether what is offered will be sent, unless the client goes."""
        return self.closing is None and not self.is_gone

    @property
    def waiting(self) -> int:
        """Events that are not sent yet."""
        return len(self._outbox)

    def offer(self, event: events.SessionEvent) -> bool:
        """Queue an event. False means that the client reads too slowly and must be closed."""
        fits = self._outbox.offer(event)
        self._something_to_do.set()
        return fits

    def close(self, effect: Close) -> None:
        """Close once everything is sent, and in any case soon."""
        self.closing = effect
        self._something_to_do.set()
        asyncio.get_running_loop().call_later(_CLOSE_GRACE_S, self._socket.transport.abort)

    def give_up(self) -> None:
        """The client is gone: what waits for it is forgotten."""
        self.is_gone = True
        while self._outbox.take() is not None:
            pass
        self._something_to_do.set()

    async def run(self) -> None:
        """Returns once the socket is closed, or the client gone."""
        try:
            while not self.is_gone:
                while (event := self._outbox.take()) is not None:
                    for text in self._spelled(event):
                        await self._socket.send(text)
                if self.closing is not None:
                    await self._socket.close(*self._dialect.close(self.closing.code, self.closing.reason))
                    return
                self._something_to_do.clear()
                await self._something_to_do.wait()
        except ConnectionClosed:
            self.is_gone = True

    def _spelled(self, event: events.SessionEvent) -> Iterator[str]:
        match event:
            case events.Spelled(text):
                yield text
            case events.Deferred(spell):
                yield from spell()
            case events.Missed(missed):
                for one in missed:
                    yield from self._dialect.render(one)
            case _:
                yield from self._dialect.render(event)
