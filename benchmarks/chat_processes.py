"""Processes that the chat benchmark starts beside `harken up`: a model server, workers to kill. All on loopback."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from bus.contract import subjects
from bus.contract.presence import decode_presence
from bus.transport.connection import BusConnection

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def model_server(*, slots: int, context_tokens: int) -> AsyncIterator[str]:
    """llama.cpp as LLM workers run it, in a process of its own; gives its URL up to and with /v1."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.chat_llama", str(slots), str(context_tokens)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    assert process.stdout is not None and process.stdin is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise RuntimeError("the model server did not start; run python -m benchmarks.chat_llama to see why")
        yield url
    finally:
        process.stdin.close()
        await process.wait()


async def start_worker(nats_url: str, settings: Mapping[str, str]) -> Process:
    """An LLM worker; whoever starts it ends it."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "llm_workers"),
        stdout=DEVNULL,
        stderr=DEVNULL,
        env={**os.environ, **settings, "NATS_URL": nats_url},
    )


class Newcomers:
    """Tells when a worker is heard that was not heard before."""

    def __init__(self, bus: BusConnection) -> None:
        self._bus = bus
        self._known: set[str] = set()
        self._new: asyncio.Queue[str] = asyncio.Queue()

    async def listen(self) -> None:
        """Begin to hear heartbeats."""
        await self._bus.subscribe(subjects.PRESENCE_LLM_ALL, self._on_presence)

    async def next(self, timeout_s: float = 60.0) -> str:
        """The id of the next one."""
        async with asyncio.timeout(timeout_s):
            return await self._new.get()

    def _on_presence(self, subject: str, data: bytes) -> None:
        worker = decode_presence(data).worker
        if worker not in self._known:
            self._known.add(worker)
            self._new.put_nowait(worker)
