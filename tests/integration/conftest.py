"""A gateway and a scripted worker as real processes on a real nats-server."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bus.control.probes import free_port
from bus.transport.embedded import EmbeddedNats

_STARTED_WITHIN_S = 40.0


class ServiceProcess:
    """One process of ours, followed by its log lines. `port`: what a gateway serves, or a worker's metrics."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0
        self.worker = ""
        """A worker's own id."""
        self.output = b""
        """All that was read of its stderr; the whole of it after `stop`."""

    async def logged(self, message: str) -> dict[str, Any]:
        """The fields of the next line with `message` that the process logs."""
        assert self.process.stderr is not None
        async with asyncio.timeout(_STARTED_WITHIN_S):
            async for line in self.process.stderr:
                self.output += line
                fields: dict[str, Any] = json.loads(line) if line.startswith(b"{") else {}
                if fields.get("message") == message:
                    return fields
        raise AssertionError(f"the process ended before it logged {message!r}")

    async def stop(self, number: int) -> int:
        """Send a signal and return the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        _, rest = await self.process.communicate()
        self.output += rest
        assert self.process.returncode is not None
        return self.process.returncode


Launch = Callable[..., Awaitable[ServiceProcess]]


@asynccontextmanager
async def _running(module: str, nats_url: str, settings: dict[str, str]) -> AsyncIterator[ServiceProcess]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HARKEN_")}
    cache = {name: os.environ[name] for name in ("HARKEN_CACHE_DIR",) if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        env={**environ, **cache, "NATS_URL": nats_url, **settings},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    try:
        yield ServiceProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def launch_gateway(nats_server: EmbeddedNats, silero_path: Path) -> AsyncIterator[Launch]:
    """Start gateways; `launch_gateway(HARKEN_GATEWAY_...="...")`."""
    async with AsyncExitStack() as stack:

        async def launch(**settings: str) -> ServiceProcess:
            port = free_port("127.0.0.1")
            running = _running("stream_gateway", nats_server.url, {"HARKEN_GATEWAY_PORT": str(port), **settings})
            service = await stack.enter_async_context(running)
            service.port = port
            await service.logged("gateway listens")
            return service

        yield launch


@pytest.fixture
async def launch_llm_worker(nats_server: EmbeddedNats) -> AsyncIterator[Launch]:
    """Start LLM workers with the scripted engine."""
    async with AsyncExitStack() as stack:

        async def launch(**settings: str) -> ServiceProcess:
            port = free_port("127.0.0.1")
            defaults = {
                "HARKEN_LLM_ENGINE": "scripted",
                "HARKEN_LLM_MODEL": "scripted",
                "HARKEN_LLM_METRICS_PORT": str(port),
            }
            running = _running("llm_workers", nats_server.url, {**defaults, **settings})
            service = await stack.enter_async_context(running)
            service.port = port
            await service.logged("worker ready")
            return service

        yield launch


@pytest.fixture
async def launch_worker(nats_server: EmbeddedNats) -> AsyncIterator[Launch]:
    """Start workers with the scripted engine."""
    async with AsyncExitStack() as stack:

        async def launch(**settings: str) -> ServiceProcess:
            port = free_port("127.0.0.1")
            defaults = {"HARKEN_ASR_ENGINE": "scripted", "HARKEN_ASR_METRICS_PORT": str(port)}
            running = _running("asr_workers", nats_server.url, {**defaults, **settings})
            service = await stack.enter_async_context(running)
            service.port = port
            service.worker = (await service.logged("worker ready"))["worker"]
            return service

        yield launch
