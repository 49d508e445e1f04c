"""A network between client and service that a test cuts, stalls and closes."""

import asyncio
from types import TracebackType
from typing import Self


class CutProxy:
    """Async context manager: forwards each connection to a port on loopback, byte by byte."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._refused = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.is_closed = False
        """New connections are reset."""

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Reset all connections, on both sides."""
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        """Carry nothing more of the connections that there are, and tell nobody."""
        self._flows.clear()
        self._flows = asyncio.Event()
        self._flows.set()

    async def refused(self) -> None:
        """Wait until somebody else was refused."""
        self._refused.clear()
        await self._refused.wait()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_closed:
            self._refused.set()
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        both = {writer, far_writer}
        self._writers |= both
        flows = self._flows
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, target, flows))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, flows: asyncio.Event) -> None:
        try:
            while data := await source.read(65_536):
                await flows.wait()
                target.write(data)
                await target.drain()
        except OSError:
            pass  # cut, on one side or the other
        finally:
            target.transport.abort()
