import asyncio

import pytest

from bus.contract import subjects
from bus.contract.errors import BusUnavailable
from bus.contract.presence import WorkerPresence, decode_presence
from llm_workers import presence as presence_module
from llm_workers.engines.base import EngineCapabilities
from llm_workers.presence import Heartbeats

ABLE = EngineCapabilities(model="m", slots=2, context_tokens=4096, can_prefill=True, caches_prompts=True)


class Listener:
    """Hears what is published, or refuses it."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, WorkerPresence]] = asyncio.Queue()
        self.refuses = 0
        self.free = 2

    async def publish(self, subject: str, data: bytes) -> None:
        if self.refuses:
            self.refuses -= 1
            raise BusUnavailable("not connected to NATS")
        self.heard.put_nowait((subject, decode_presence(data)))

    async def next(self) -> WorkerPresence:
        async with asyncio.timeout(5):
            return (await self.heard.get())[1]


def heartbeats(listener: Listener) -> Heartbeats:
    return Heartbeats(
        listener, worker="w1", pool="std", able=ABLE, aliases=("small",), free_slots=lambda: listener.free
    )


async def test_a_worker_says_what_it_serves_and_how_much_of_it_is_free() -> None:
    listener = Listener()
    beating = asyncio.create_task(heartbeats(listener).run())
    async with asyncio.timeout(5):
        subject, presence = await listener.heard.get()
    beating.cancel()
    assert subject == subjects.presence_llm("std", "w1")
    assert presence == WorkerPresence(
        worker="w1",
        pool="std",
        model="m",
        aliases=("small",),
        slots=2,
        free_slots=2,
        context_tokens=4096,
        state="ready",
    )


async def test_that_the_last_slot_is_taken_or_the_first_one_freed_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(presence_module, "HEARTBEAT_INTERVAL_S", 3600.0)
    listener = Listener()
    beats = heartbeats(listener)
    beating = asyncio.create_task(beats.run())
    assert (await listener.next()).free_slots == 2
    for free in (0, 1):
        listener.free = free
        beats.on_slots()
        assert (await listener.next()).free_slots == free
    beating.cancel()


async def test_other_changes_wait_for_the_next_beat() -> None:
    listener = Listener()
    beats = heartbeats(listener)
    beating = asyncio.create_task(beats.run())
    await listener.next()
    listener.free = 1
    beats.on_slots()
    await asyncio.sleep(0)
    assert listener.heard.empty()
    assert (await listener.next()).free_slots == 1
    beating.cancel()


async def test_a_beat_that_cannot_be_sent_is_skipped() -> None:
    listener = Listener()
    listener.refuses = 1
    beating = asyncio.create_task(heartbeats(listener).run())
    assert (await listener.next()).state == "ready"
    beating.cancel()


async def test_a_worker_says_that_it_leaves() -> None:
    listener = Listener()
    await heartbeats(listener).leave()
    assert listener.heard.get_nowait()[1].state == "leaving"
