import asyncio

from asr_workers.presence import Heartbeats
from bus.contract import subjects
from bus.contract.errors import BusUnavailable
from bus.contract.presence import WorkerPresence, decode_presence


class Listener:
    """Hears what is published, or refuses it."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, WorkerPresence]] = asyncio.Queue()
        self.refuses = 0

    async def publish(self, subject: str, data: bytes) -> None:
        if self.refuses:
            self.refuses -= 1
            raise BusUnavailable("not connected to NATS")
        self.heard.put_nowait((subject, decode_presence(data)))


def heartbeats(listener: Listener) -> Heartbeats:
    return Heartbeats(listener, worker="w1", pool="std", model="base", slots=2, final_load=lambda: 0.5)


async def test_a_worker_says_that_it_is_ready_and_what_it_serves() -> None:
    listener = Listener()
    beating = asyncio.create_task(heartbeats(listener).run())
    async with asyncio.timeout(5):
        subject, presence = await listener.heard.get()
    beating.cancel()
    assert subject == subjects.presence_asr("std", "w1")
    assert presence == WorkerPresence(worker="w1", pool="std", model="base", slots=2, state="ready", final_load=0.5)


async def test_a_beat_that_cannot_be_sent_is_skipped() -> None:
    listener = Listener()
    listener.refuses = 1
    beating = asyncio.create_task(heartbeats(listener).run())
    async with asyncio.timeout(5):
        assert (await listener.heard.get())[1].state == "ready"
    beating.cancel()


async def test_a_worker_says_that_it_leaves() -> None:
    listener = Listener()
    await heartbeats(listener).leave()
    assert listener.heard.get_nowait()[1].state == "leaving"
