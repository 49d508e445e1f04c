"""The network between clients and one gateway, as a TCP proxy that can cut, stall and refuse."""

import asyncio
from collections.abc import Callable

HOST = "127.0.0.1"
_MAX_WAITING_BYTES = 256 * 1024
"""What the proxy holds of one direction before it stops reading: as the buffers of a network would."""


class Door:
    """Clients connect to `port`, and reach the gateway's; `open` first."""

    def __init__(self, gateway_port: int) -> None:
        self.port = 0
        self._gateway_port = gateway_port
        self._server: asyncio.Server | None = None
        self._wires: set[_Wire] = set()
        self._is_stalled = False

    async def open(self) -> None:
        """Take connections, on the same port each time. Nothing happens if it is open."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._wire, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> int:
        """Break all connections, without a word to either side; how many there were."""
        cut = len(self._wires)
        for wire in list(self._wires):
            wire.cut()
        return cut

    def refuse(self) -> None:
        """Break all connections and take none until `open`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def stall(self) -> None:
        """Carry nothing any more, neither way, nor on new connections: a cable that is out."""
        self._is_stalled = True
        for wire in self._wires:
            wire.update()

    def carry_on(self) -> None:
        """End a stall: what waited goes through, as TCP would send it again."""
        self._is_stalled = False
        for wire in list(self._wires):
            wire.update()

    def close(self) -> None:
        """End everything."""
        self.refuse()

    def _wire(self) -> asyncio.Protocol:
        wire = _Wire(self._gateway_port, lambda: self._is_stalled, self._wires.discard)
        self._wires.add(wire)
        return wire.client


class _End(asyncio.Protocol):
    """One side of a wire."""

    def __init__(self, wire: "_Wire") -> None:
        self.transport: asyncio.Transport | None = None
        self.is_full = False
        """Whether it takes no more for now."""
        self._wire = wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(_MAX_WAITING_BYTES)
        transport.pause_reading()
        self._wire.on_made(self)

    def data_received(self, data: bytes) -> None:
        other = self._wire.other(self).transport
        if other is not None:
            other.write(data)

    def pause_writing(self) -> None:
        self.is_full = True
        self._wire.update()

    def resume_writing(self) -> None:
        self.is_full = False
        self._wire.update()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self._wire.end()
        else:
            self._wire.cut()


class _Wire:
    """One connection of a client, and the one to the gateway behind it."""

    def __init__(self, port: int, is_stalled: Callable[[], bool], on_end: Callable[["_Wire"], None]) -> None:
        self.client = _End(self)
        self._gateway = _End(self)
        self._port = port
        self._is_stalled = is_stalled
        self._on_end = on_end
        self._connecting: asyncio.Task[None] | None = None

    def on_made(self, end: _End) -> None:
        """A side is connected: the client first."""
        if end is self.client:
            self._connecting = asyncio.create_task(self._connect(), name="door")
        else:
            self.update()

    def other(self, end: _End) -> _End:
        """The side across."""
        return self._gateway if end is self.client else self.client

    def update(self) -> None:
        """Read from each side whose other side takes it, and from none in a stall."""
        for end in (self.client, self._gateway):
            across = self.other(end)
            if end.transport is None or across.transport is None or end.transport.is_closing():
                continue
            if across.is_full or self._is_stalled():
                end.transport.pause_reading()
            else:
                end.transport.resume_reading()

    def end(self) -> None:
        """One side has closed: so does the other one, once it has what was sent before."""
        self._forget()
        for end in (self.client, self._gateway):
            if end.transport is not None:
                end.transport.close()

    def cut(self) -> None:
        """Break both sides; what was on its way is lost."""
        self._forget()
        for end in (self.client, self._gateway):
            if end.transport is not None:
                end.transport.abort()

    def _forget(self) -> None:
        self._on_end(self)
        if self._connecting is not None:
            self._connecting.cancel()

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self._gateway, HOST, self._port)
        except OSError:
            self.cut()
