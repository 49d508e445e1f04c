import asyncio

import pytest

from llm_workers.silence import Silence

LONG_S = 1000.0


async def test_silence_that_is_too_long_ends_what_waits() -> None:
    with pytest.raises(TimeoutError):
        async with Silence(0.001):
            await asyncio.Event().wait()


async def test_after_the_first_word_patience_may_be_shorter() -> None:
    with pytest.raises(TimeoutError):
        async with Silence(LONG_S) as silence:
            silence.broken(0.001)
            await asyncio.Event().wait()


async def test_each_word_puts_the_end_off() -> None:
    loop = asyncio.get_running_loop()
    async with Silence(0.001) as silence:
        silence.broken(LONG_S)
        first = silence._timer
        looked = asyncio.Event()
        loop.call_at(first.when() + 0.001, looked.set)
        await looked.wait()
        assert silence._timer is not first, "it has looked, and set itself anew"


async def test_a_cancel_from_outside_is_no_silence() -> None:
    async def listen() -> None:
        async with Silence(LONG_S):
            await asyncio.Event().wait()

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
