import asyncio
import threading
from collections.abc import Generator
from contextlib import aclosing

import pytest

from clients.cli.pump import pump

PATIENCE_S = 10.0


async def test_chunks_come_in_order_and_then_the_end() -> None:
    def read() -> Generator[bytes, None, None]:
        yield from (b"a", b"b", b"c")

    async with aclosing(pump(read)) as chunks:
        assert [chunk async for chunk in chunks] == [b"a", b"b", b"c"]


async def test_the_exception_of_the_reader_comes_after_its_chunks() -> None:
    def read() -> Generator[bytes, None, None]:
        yield b"a"
        raise ValueError("torn tape")

    received = []
    async with aclosing(pump(read)) as chunks:
        with pytest.raises(ValueError, match="torn tape"):
            async for chunk in chunks:
                received.append(chunk)  # noqa: PERF401
    assert received == [b"a"]


async def test_the_reader_waits_while_nobody_takes_its_chunks() -> None:
    produced: list[int] = []
    blocked = threading.Event()

    def read() -> Generator[bytes, None, None]:
        for number in range(10):
            produced.append(number)
            if number == 3:
                blocked.set()
            yield b"x"

    async with aclosing(pump(read, max_chunks=2)) as chunks:
        await anext(chunks)
        # Of four chunks made, one was taken, two wait, and the fourth waits for room.
        assert await asyncio.to_thread(blocked.wait, PATIENCE_S)
        assert len(produced) == 4


async def test_closing_it_closes_the_reader() -> None:
    closed = threading.Event()

    def read() -> Generator[bytes, None, None]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    async with aclosing(pump(read, max_chunks=1)) as chunks:
        await anext(chunks)
    assert await asyncio.to_thread(closed.wait, PATIENCE_S)


def test_a_reader_that_ends_after_the_loop_disturbs_nobody() -> None:
    release, finished = threading.Event(), threading.Event()

    def read() -> Generator[bytes, None, None]:
        yield b"x"
        release.wait(PATIENCE_S)
        finished.set()

    async def take_one() -> None:
        async with aclosing(pump(read)) as chunks:
            await anext(chunks)

    asyncio.run(take_one())
    release.set()
    assert finished.wait(PATIENCE_S)
