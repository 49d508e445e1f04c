"""What `harken up` hears of LLM workers, on a real nats-server."""

import asyncio
from typing import Literal

from bus.contract import subjects
from bus.contract.presence import WorkerPresence, encode_presence
from bus.control.chat_ready import until_chat_is_ready
from bus.control.probes import free_port
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from tests.conftest import ConnectBus

_PATIENCE_S = 10.0


def beat(model: str, state: Literal["ready", "leaving"] = "ready") -> bytes:
    return encode_presence(WorkerPresence(worker="w1", pool="std", model=model, slots=4, state=state))


async def say_again_and_again(bus: BusConnection, *beats: bytes) -> None:
    while True:
        for one in beats:
            await bus.publish(subjects.presence_llm("std", "w1"), one)
        await asyncio.sleep(0.01)


async def heard(url: str, bus: BusConnection, *beats: bytes, timeout_s: float = _PATIENCE_S) -> str | None:
    saying = asyncio.create_task(say_again_and_again(bus, *beats))
    try:
        return await until_chat_is_ready(url, timeout_s=timeout_s)
    finally:
        saying.cancel()


async def test_the_first_worker_that_is_ready_names_its_model(
    nats_server: EmbeddedNats, connect_bus: ConnectBus
) -> None:
    bus = await connect_bus()
    beats = (b"of another version", beat("old", "leaving"), beat("smollm2"))
    assert await heard(nats_server.url, bus, *beats) == "smollm2"


async def test_nobody_is_ready_in_time(nats_server: EmbeddedNats, connect_bus: ConnectBus) -> None:
    bus = await connect_bus()
    assert await heard(nats_server.url, bus, beat("old", "leaving"), timeout_s=0.2) is None


async def test_without_a_broker_nobody_is_heard() -> None:
    assert await until_chat_is_ready(f"nats://127.0.0.1:{free_port('127.0.0.1')}", timeout_s=0.2) is None
