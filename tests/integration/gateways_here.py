"""Gateways in the test's own process, real but for that, and a worker that tells which words lie in a window."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import ceil
from pathlib import Path
from typing import Any

from asr_workers.held_jobs import Job
from bus.contract.work import SAMPLE_RATE_HZ, AsrRequest
from bus.control.probes import free_port
from bus.runtime.shared_settings import SharedSettings
from bus.transport.connection import BusConnection
from stream_gateway.__main__ import serve
from stream_gateway.policy.keys import parse_keys
from stream_gateway.settings import GatewaySettings
from tests.integration.broker import answer, hand_made_worker
from tests.integration.gateway_client import get

WORD_SAMPLES = SAMPLE_RATE_HZ // 2
OpenGateway = Callable[..., AbstractAsyncContextManager[int]]
_STARTED_WITHIN_S = 20.0


@asynccontextmanager
async def gateway_here(nats_url: str, silero_path: Path, **settings: Any) -> AsyncIterator[int]:
    """Its port, once it is ready."""
    given = GatewaySettings(**{"port": free_port("127.0.0.1"), "drain_timeout_s": 0.0, "reuse_port": False, **settings})
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(given, SharedSettings(nats_url=nats_url), silero_path, parse_keys(given.api_keys), None, stop),
        name="gateway",
    )
    try:
        async with asyncio.timeout(_STARTED_WITHIN_S):
            while not await _is_ready(given.port):
                assert not serving.done(), "the gateway did not start"
        yield given.port
    finally:
        stop.set()
        await serving


async def _is_ready(port: int) -> bool:
    try:
        return (await get(port, "/readyz"))[0] == 200
    except OSError:
        return False


def words_by_place(request: AsrRequest) -> str:
    """Numbered words of half a second, those whose middle lies in the window behind its prior."""
    first = request.start_sample + request.prior_samples
    end = request.start_sample + len(request.pcm) // 2
    half = WORD_SAMPLES // 2
    places = range(ceil((first - half) / WORD_SAMPLES), ceil((end - half) / WORD_SAMPLES))
    return " ".join(f"w{place}" for place in places)


@asynccontextmanager
async def worker_here(bus: BusConnection) -> AsyncIterator[asyncio.Event]:
    """Decodes finals while the event is set, as it is at first."""
    may_work = asyncio.Event()
    may_work.set()

    async def treat(job: Job, request: AsrRequest) -> None:
        await may_work.wait()
        await answer(bus, request, words_by_place(request))
        await job.ack()

    async with hand_made_worker(bus, treat):
        yield may_work
