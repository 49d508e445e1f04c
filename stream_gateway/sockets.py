"""The TCP connections of the port, with bounds on what each may hold and on how long it may keep the event loop.

`websockets` parses all that a read brings before it looks whether anybody has room for it: a quarter of a megabyte of
empty frames would be half a second of parsing and tens of megabytes of frames. It answers pings whether the answers are
read or not. And nothing of it counts over all connections. So what comes in is parsed piece by piece, for some
milliseconds at a time, only while there is room; and what is held is summed up over the process (`HeldInput`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import ConnectionClosedOK
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Data

from stream_gateway.policy.held_input import HeldInput, Strangers

_PIECE_BYTES = 3_328
"""Parsed at once: some hundred of the smallest frames, or one of 100 ms of audio (3200 bytes and its head)."""
_TURN_S = 0.005
"""For so long one connection is attended to before the others have their turn."""
_FRAME_BYTES = 400
"""What a frame occupies besides its payload."""
_COPIES = 3
"""A message that is being taken in exists as text, as bytes, and as samples."""
_MAX_UNREAD_BYTES = 8 * 1024 * 1024
"""Of answers to pings. Events wait in the outbox and not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """Over all connections of a process."""

    max_held_bytes: int = 512 * 1024 * 1024
    """Received and not done with, and not read by their clients."""
    max_strangers: int = 1_000
    """Connections that are no session (yet, or any more)."""


class Sockets:
    """Creates the connections of one port and watches them. `on_cut` is told the reason for each that it cuts."""

    def __init__(self, limits: SocketLimits, on_cut: Callable[[str], None]) -> None:
        self.held = HeldInput["GuardedConnection"](max_bytes=limits.max_held_bytes)
        self.strangers = Strangers["GuardedConnection"](most=limits.max_strangers)
        self._on_cut = on_cut

    def connection(self, protocol: ServerProtocol, server: Server, **options: Any) -> "GuardedConnection":
        """For `serve(create_connection=...)`."""
        return GuardedConnection(self, protocol, server, **options)

    def on_made(self, connection: "GuardedConnection") -> None:
        """A client has connected."""
        if (oldest := self.strangers.come(connection)) is not None:
            self.cut(oldest, "too_many_connections")

    def on_lost(self, connection: "GuardedConnection") -> None:
        """It is gone."""
        self.strangers.leave(connection)
        self.held.release(connection)

    def cut(self, connection: "GuardedConnection", reason: str) -> None:
        """End a connection without a word: it has no room for one, or would not read it."""
        self.on_lost(connection)
        self._on_cut(reason)
        connection.transport.abort()


class GuardedConnection(ServerConnection):
    """A connection that takes in what comes by and by. Iterate over it to read it; `recv` knows no turns."""

    def __init__(self, sockets: Sockets, protocol: ServerProtocol, server: Server, **options: Any) -> None:
        super().__init__(protocol, server, **options)
        self._sockets = sockets
        self._unparsed = b""
        self._parsed_bytes = 0
        self._in_hand_bytes = 0
        self._is_parse_due = False
        self._is_paused = False
        self._is_lost = False

    async def handshake(self, *arguments: Any, **options: Any) -> None:
        """See ServerConnection. Who comes to a session is no stranger any more."""
        await super().handshake(*arguments, **options)
        if self.protocol.state is State.OPEN:
            self._sockets.strangers.leave(self)

    async def __aiter__(self) -> AsyncIterator[Data]:
        """See Connection. Others have their turn between messages, however many have come."""
        waiting, turn_ends_at = self.recv_messages.frames, 0.0
        with suppress(ConnectionClosedOK):
            while True:
                if not waiting:
                    turn_ends_at = 0.0  # others have their turn while this one waits
                elif not turn_ends_at:
                    turn_ends_at = self.loop.time() + _TURN_S
                elif self.loop.time() > turn_ends_at:
                    await asyncio.sleep(0)
                    turn_ends_at = self.loop.time() + _TURN_S
                message = await self.recv()
                self._in_hand_bytes = _COPIES * len(message)
                self._hold()
                yield message
                self._in_hand_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See Connection."""
        super().connection_made(transport)
        self.recv_messages.pause = self._pause
        self.recv_messages.resume = self._on_room
        self._sockets.on_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See Connection. What came before is read all the same, and only then it is told that nothing follows."""
        self._is_lost = True
        self._parse_rest(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in, for as long as there is room and it is this connection's turn."""
        self._unparsed = self._unparsed[self._parsed_bytes :] + data if self._unparsed else data
        self._parsed_bytes = 0
        if not self._is_parse_due:
            self._parse()

    def eof_received(self) -> None:
        """Nothing follows. Where something is left to parse the end is that of the connection, which comes next."""
        if not self._unparsed:
            super().eof_received()

    def _parse_rest(self, exc: Exception | None) -> None:
        """By turns, too, and whether there is room or not: the rest is no more than one read brings."""
        turn_ends_at = self.loop.time() + _TURN_S
        while self._unparsed:
            self._parse_piece()
            if self._unparsed and self.loop.time() > turn_ends_at:
                self.loop.call_soon(self._parse_rest, exc)
                return
        self._sockets.on_lost(self)
        super().connection_lost(exc)
        self._break_cycles()

    def _break_cycles(self) -> None:
        """Or it would lie about, buffers and all, until the next collection of garbage."""
        self.recv_messages.pause = self.recv_messages.resume = _nothing
        vars(self.protocol).pop("select_subprotocol", None)  # the library's own, which refers to its connection

    def _parse(self) -> None:
        self._is_parse_due = False
        turn_ends_at = self.loop.time() + _TURN_S
        while self._unparsed and not self.recv_messages.paused:  # if there is no room, `_on_room` goes on
            self._parse_piece()
            if self._unparsed and self.loop.time() > turn_ends_at:
                self._pause()
                self._parse_soon()
                break
        if not self._unparsed and self._is_paused and not self.recv_messages.paused:
            self._resume()
        self._hold()

    def _parse_piece(self) -> None:
        """The next piece; there is one."""
        begin = self._parsed_bytes
        self._parsed_bytes += _PIECE_BYTES
        piece = self._unparsed[begin : self._parsed_bytes]  # a short one whole is not copied
        if self._parsed_bytes >= len(self._unparsed):
            self._unparsed, self._parsed_bytes = b"", 0
        super().data_received(piece)
        if not self._is_lost and self.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            self._cut("unread")

    def _pause(self) -> None:
        """Read no more for now: also where frames wait that nobody has room for."""
        self._is_paused = True
        if not self._is_lost:
            self.transport.pause_reading()

    def _resume(self) -> None:
        self._is_paused = False
        if not self._is_lost:
            self.transport.resume_reading()

    def _on_room(self) -> None:
        """Frames were taken."""
        if self._unparsed:
            self._parse_soon()
        else:
            self._resume()

    def _parse_soon(self) -> None:
        if not self._is_parse_due:
            self._is_parse_due = True
            self.loop.call_soon(self._parse)

    def _hold(self) -> None:
        if self._is_lost:
            return
        waiting = self.recv_messages.frames.queue
        held_bytes = (
            len(self._unparsed)
            - self._parsed_bytes
            + len(self.protocol.reader.buffer)
            + sum(len(frame.data) for frame in waiting)
            + _FRAME_BYTES * len(waiting)
            + self._in_hand_bytes
            + self.transport.get_write_buffer_size()
        )
        if not self._sockets.held.hold(self, held_bytes):
            self._cut("buffers_full")

    def _cut(self, reason: str) -> None:
        self._is_lost = True
        self._unparsed, self._parsed_bytes = b"", 0
        self._sockets.cut(self, reason)


def _nothing() -> None:
    """There is no transport left to read less of, or more."""
