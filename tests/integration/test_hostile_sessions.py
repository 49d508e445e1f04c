"""Clients that mean harm inside of sessions, all at one gateway: it stays within its bounds, and others go on.

`HARKEN_TEST_HOSTILE=1` (`make test-hostile`) sends ten times as much.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tests.integration.conftest import Launch
from tests.integration.gateway_client import (
    SAMPLE,
    became,
    closed_with,
    dial,
    event,
    events_until_closed,
    figures,
    half_said,
    say_the_rest,
    speech,
    started,
    undisturbed_text,
)

MANY = 10 if "HARKEN_TEST_HOSTILE" in os.environ else 1
CUT_OFF = 0
"""In place of a status: a crowd at the door is not answered, but cut off."""
GROWTH_BYTES = 200 * 1024 * 1024
"""Far below what the attacks send, far above what one of them may hold."""
WITHIN_S = 60.0
SETTINGS = {
    "HARKEN_GATEWAY_START_TIMEOUT_S": "2",
    "HARKEN_GATEWAY_SESSIONS_PER_SLOT": "0",
    "HARKEN_GATEWAY_MAX_LAG_S": "600",
    "HARKEN_GATEWAY_MAX_PROCESS_LAG_S": "60",
    "HARKEN_GATEWAY_MAX_SCORING_SHARE": "60",
}
"""All are let in, or there would be no attack."""
CHAT: dict[str, Any] = {"audio": None, "chat": {"auto": True}}
CHAT_SEND = {"type": "chat.send"}


async def floods_tiny_frames(port: int) -> None:
    socket = await started(port)
    for _ in range(20 * MANY):
        await socket.send([b""] * 100 + [b"x"])
        await socket.send(b"")
    assert await socket.ping()
    await socket.close()


async def sends_frames_of_a_megabyte(port: int) -> None:
    socket = await started(port)
    with suppress(ConnectionClosed):
        for _ in range(12 * MANY):
            await socket.send(bytes(1_048_576))
    socket.transport.abort()


async def types_a_thousand_turns(port: int) -> None:
    socket = await started(port, **CHAT)
    await typed(socket, ["hello"] * 1000 * MANY)


async def types_huge_turns(port: int) -> None:
    socket = await started(port, **CHAT)
    await typed(socket, ["x" * 32_000] * 60 * MANY + ["x" * 32_001] * 10)


async def typed(socket: ClientConnection, texts: list[str]) -> None:
    """Type, read what comes, and go without waiting for answers."""
    reading = asyncio.create_task(events_until_closed(socket))
    with suppress(ConnectionClosed):
        for text in texts:
            await socket.send(json.dumps({**CHAT_SEND, "text": text}))
    socket.transport.abort()
    await reading


async def types_and_never_reads(port: int) -> None:
    socket = await started(port, **CHAT)
    socket.recv_messages.high = 1
    socket.transport.pause_reading()
    with suppress(ConnectionClosed, TimeoutError):
        async with asyncio.timeout(2):
            for _ in range(2000):
                await socket.send(json.dumps({**CHAT_SEND, "text": "y" * 1000}))
    socket.transport.abort()


async def says_only_nonsense(port: int) -> None:
    socket = await started(port)
    with suppress(ConnectionClosed):
        for number in range(150):
            await socket.send(f'{{"type":"nonsense {number}"}}')
    assert await closed_with(socket) == 4400


async def sends_file_after_file(port: int) -> None:
    socket = await started(port, audio={"encoding": "container"})
    file = SAMPLE.read_bytes()
    with suppress(ConnectionClosed):
        for _ in range(10 * MANY):  # a file behind a file: garbage to whoever reads the first
            await socket.send(file)
    socket.transport.abort()


async def opens_and_never_starts(port: int) -> None:
    sockets = [await dial(port) for _ in range(30 * MANY)]
    assert {await closed_with(socket) for socket in sockets} == {4408}


async def opens_again_and_again(port: int) -> None:
    async def once() -> int:
        try:
            await (await dial(port)).close()
        except InvalidStatus as refusal:
            return refusal.response.status_code
        except InvalidHandshake:
            return CUT_OFF
        return 101

    answers = await asyncio.gather(*(once() for _ in range(100 * MANY)))
    assert set(answers) <= {101, 503, CUT_OFF}


async def vanishes(port: int) -> None:
    for _ in range(20 * MANY):
        socket = await half_open(port)
        socket.transport.abort()


async def half_open(port: int) -> ClientConnection:
    socket = await dial(port)
    await socket.send('{"type":"session.start","language":"en"}')
    return socket


ATTACKS: tuple[Callable[[int], Awaitable[None]], ...] = (
    floods_tiny_frames,
    sends_frames_of_a_megabyte,
    types_a_thousand_turns,
    types_huge_turns,
    types_and_never_reads,
    says_only_nonsense,
    sends_file_after_file,
    opens_and_never_starts,
    opens_again_and_again,
    vanishes,
)


async def carried_out(attack: Callable[[int], Awaitable[None]], port: int) -> None:
    """Begin again as often as the crowd that others make is in the way."""
    while True:
        with suppress(InvalidHandshake):
            return await attack(port)


@asynccontextmanager
async def answered_all_the_time(socket: ClientConnection) -> AsyncIterator[None]:
    """Pings go to and fro meanwhile; websockets itself ends a socket whose ping is not answered in time."""

    async def ping() -> None:
        while True:
            await (await socket.ping())
            await asyncio.sleep(0.05)

    pinging = asyncio.create_task(ping())
    try:
        yield
        assert not pinging.done()
    finally:
        pinging.cancel()


async def test_a_gateway_under_attack_keeps_its_bounds_and_its_other_sessions(
    launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_MAX_SESSIONS=str(60 * MANY), **SETTINGS)
    await asyncio.gather(launch_worker(), launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS="tokens_per_s=500"))
    await became(gateway.port, 200)
    text = await undisturbed_text(gateway.port, speech())
    process = psutil.Process(gateway.process.pid)
    innocent = await half_said(gateway.port)
    before = process.memory_info().rss
    async with answered_all_the_time(innocent):
        for attack in ATTACKS:
            async with asyncio.timeout(WITHIN_S * MANY):
                await attack(gateway.port)
            assert process.memory_info().rss - before < GROWTH_BYTES, attack.__name__
    await say_the_rest(innocent)
    assert (await event(innocent, "transcript.final"))["text"] == text
    assert await closed_with(innocent) == 1000
    shown = await figures(gateway.port)
    assert shown['harken_gateway_sockets_total{outcome="done"}'] > 50
    assert 'harken_gateway_sockets_total{outcome="crashed"}' not in shown


@pytest.mark.timeout(900)
@pytest.mark.skipif("HARKEN_TEST_HOSTILE" not in os.environ, reason="takes minutes: make test-hostile")
async def test_an_hour_of_attacks_in_minutes_leaves_memory_where_it_was(
    launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway(**SETTINGS)
    await asyncio.gather(launch_worker(), launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS="tokens_per_s=500"))
    await became(gateway.port, 200)
    process = psutil.Process(gateway.process.pid)
    sizes = []
    for _ in range(4):
        await asyncio.gather(*(carried_out(attack, gateway.port) for attack in ATTACKS))
        sizes.append(process.memory_info().rss)
    assert sizes[-1] - sizes[0] < 50 * 1024 * 1024, "what an attack leaves behind does not add up"
