"""A way to gateways that can be cut, and led elsewhere: what a proxy or a network does to sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self


class Road:
    """Passes each TCP connection on to `target`, a port of this machine; None refuses."""

    def __init__(self, target: int) -> None:
        self.target: int | None = target
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, target: int) -> AsyncIterator[Self]:
        """Open until the context is left."""
        road = cls(target)
        server = await asyncio.start_server(road._carry, "127.0.0.1", 0)
        road.port = server.sockets[0].getsockname()[1]
        try:
            yield road
        finally:
            server.close()
            road.cut(target=None)
            await server.wait_closed()

    def cut(self, *, target: int | None) -> None:
        """All connections break off at both ends, without a word of farewell; new ones lead to `target`."""
        self.target = target
        for writer in self._open:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.target is None:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._open |= ends
        try:
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        finally:
            self._open -= ends


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()
