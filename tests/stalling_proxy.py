"""A TCP proxy in front of a server, for faults of the network: it can fall silent, or be gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK_BYTES = 64 * 1024


class StallingProxy:
    """Carries bytes to `target` and back until told otherwise. While stalled it accepts, and carries nothing."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """As a NATS URL."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def links(self) -> int:
        """Connections that are open."""
        return len(self._links)

    def stall(self) -> None:
        """As in a partition: connections stay open, and no byte arrives in either direction."""
        self._flowing.clear()

    def flow(self) -> None:
        """End of the partition: what was sent meanwhile arrives."""
        self._flowing.set()

    def cut(self) -> None:
        """Reset every connection; new ones are accepted."""
        for link in self._links:
            link.cancel()

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening and reset what is open."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            try:
                await self._flowing.wait()
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            except BaseException:
                writer.transport.abort()
                raise
            ways = [asyncio.create_task(self._carry(reader, far_writer))]
            ways.append(asyncio.create_task(self._carry(far_reader, writer)))
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                writer.transport.abort()
                far_writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def proxy_to(target: int) -> AsyncIterator[StallingProxy]:
    """A proxy to this port of loopback, for as long as the block runs."""
    proxy = StallingProxy(target)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.aclose()
