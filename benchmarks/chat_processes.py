"""Processes that the chat benchmark starts beside `harken up`: a model server, workers to kill. All on loopback."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from benchmarks.chat_turns import ModelServer
from bus.contract import subjects
from bus.contract.presence import decode_presence
from bus.runtime.model_store.catalogue import SMOLLM2
from bus.runtime.model_store.store import default_cache_dir, resolve
from bus.transport.connection import BusConnection
from llm_workers.engines.base import EngineOptions
from llm_workers.engines.llama_process import LlamaProcess

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def model_server(*, slots: int, context_tokens: int) -> AsyncIterator[ModelServer]:
    """llama.cpp with the default model of chat, started as LLM workers start theirs."""
    path = await asyncio.to_thread(resolve, SMOLLM2.name, cache_dir=default_cache_dir())
    options = EngineOptions(model_name=SMOLLM2.name, model_path=path, slots=slots, context_tokens=context_tokens)
    process = await LlamaProcess.start(options)
    try:
        yield ModelServer(process.url, process.api_key)
    finally:
        await process.aclose()


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
