import asyncio

import pytest

from asr_workers.gate import Gate
from asr_workers.held_jobs import Job
from tests.unit.asr_workers.test_worker import FakeJob

WITHIN_S = 5.0


class Source:
    """Tells of each fetch when it begins, and when it is broken off."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[str] = asyncio.Queue()
        self.jobs: asyncio.Queue[FakeJob | None] = asyncio.Queue()

    async def fetch(self, *, wait_s: float | None) -> Job | None:
        assert wait_s is None
        self.news.put_nowait("asks")
        try:
            return await self.jobs.get()
        except asyncio.CancelledError:
            self.news.put_nowait("broken off")
            raise

    async def next(self) -> str:
        async with asyncio.timeout(WITHIN_S):
            return await self.news.get()


async def _fetched(fetching: "asyncio.Task[Job | None]") -> Job | None:
    async with asyncio.timeout(WITHIN_S):
        return await fetching


async def test_nothing_is_asked_for_before_there_is_room() -> None:
    gate, source, job = Gate(), Source(), FakeJob(b"")
    source.jobs.put_nowait(job)
    fetching = asyncio.create_task(gate.fetch(source))
    await asyncio.sleep(0)
    assert source.news.empty()
    gate.set(is_open=True)
    assert await _fetched(fetching) is job


async def test_who_has_no_room_any_more_asks_no_more_and_again_when_it_has() -> None:
    gate, source, job = Gate(), Source(), FakeJob(b"")
    gate.set(is_open=True)
    fetching = asyncio.create_task(gate.fetch(source))
    assert await source.next() == "asks"
    gate.set(is_open=False)
    gate.set(is_open=False)
    assert await source.next() == "broken off"
    assert source.news.empty()
    source.jobs.put_nowait(job)
    gate.set(is_open=True)
    assert await _fetched(fetching) is job


async def test_room_that_comes_back_at_once_is_asked_for_again() -> None:
    gate, source, job = Gate(), Source(), FakeJob(b"")
    gate.set(is_open=True)
    fetching = asyncio.create_task(gate.fetch(source))
    assert await source.next() == "asks"
    gate.set(is_open=False)
    gate.set(is_open=True)
    assert [await source.next(), await source.next()] == ["broken off", "asks"]
    source.jobs.put_nowait(job)
    assert await _fetched(fetching) is job


async def test_the_end_of_the_source_is_the_end() -> None:
    gate, source = Gate(), Source()
    gate.set(is_open=True)
    source.jobs.put_nowait(None)
    assert await gate.fetch(source) is None


async def test_a_fetch_that_is_cancelled_is_over() -> None:
    gate, source = Gate(), Source()
    gate.set(is_open=True)
    fetching = asyncio.create_task(gate.fetch(source))
    assert await source.next() == "asks"
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await _fetched(fetching)
