import asyncio

from llm_workers.engines.scripted import expected_answer
from tests.unit.llm_workers.requests import request
from tests.unit.llm_workers.workers import WITHIN_S, Bench, at_work


async def test_a_cancel_stops_the_engine_in_silence_and_the_request_is_done() -> None:
    async with at_work() as bench:
        job = bench.give(request("hi scripted:hang"))
        await bench.bus.taken()
        await bench.bus.delta()
        bench.cancel()
        assert await job.wait() == "ack"
        assert [prompt.session for prompt in bench.engine.cancelled] == ["s1"]
        await _nothing_is_said(bench)
        assert bench.count("cancels_total", when="running") == 1


async def test_a_cancel_before_the_request_is_remembered() -> None:
    async with at_work() as bench:
        bench.cancel()
        job = bench.give(request())
        assert await job.wait() == "ack"
        assert bench.engine.started == []
        await _nothing_is_said(bench)
        assert bench.count("cancels_total", when="before") == 1


async def test_a_cancel_of_earlier_attempts_leaves_a_later_one_alone() -> None:
    async with at_work(tokens_per_s="200") as bench:
        bench.give(request("hello", attempt=2))
        await bench.bus.taken()
        bench.cancel(upto_attempt=1)
        text, _ = await bench.bus.rest()
        assert text == expected_answer("hello")


async def test_a_cancel_of_another_answer_changes_nothing() -> None:
    async with at_work(tokens_per_s="200") as bench:
        bench.give(request("hello"))
        await bench.bus.taken()
        bench.cancel(answer=2)
        bench.cancel(session="s2")
        text, _ = await bench.bus.rest()
        assert text == expected_answer("hello")


async def test_a_cancel_frees_the_slot() -> None:
    async with at_work(slots=1) as bench:
        bench.ask(request("hi scripted:hang"))
        await bench.bus.taken()
        changed = asyncio.Event()
        bench.worker.on_slots(changed.set)
        bench.cancel()
        async with asyncio.timeout(WITHIN_S):
            await changed.wait()
        assert (bench.worker.free_slots, bench.engine.running) == (1, 0)


async def test_the_same_attempt_asked_for_twice_is_answered_once() -> None:
    async with at_work(tokens_per_s="200") as bench:
        bench.ask(request("hello"))
        await bench.bus.taken()
        again = bench.give(request("hello"))
        assert await again.wait() == "ack"
        text, _ = await bench.bus.rest()
        assert text == expected_answer("hello")
        await _nothing_is_said(bench)


async def test_a_later_attempt_ends_the_earlier_one_in_silence() -> None:
    async with at_work() as bench:
        first = bench.give(request("hi scripted:hang"))
        await bench.bus.taken()
        await bench.bus.delta()
        bench.give(request("hi", attempt=2, prefill="hi.1"))
        assert (await bench.bus.taken()).attempt == 2
        assert await first.wait() == "ack"
        _, end = await bench.bus.rest()
        assert end.attempt == 2


async def test_a_cancel_that_cannot_be_read_is_ignored() -> None:
    async with at_work() as bench:
        bench.worker.on_cancel(b"garbage")
        bench.give(request())
        await bench.bus.rest()


async def _nothing_is_said(bench: Bench) -> None:
    """Until another answer is over, which this asks for."""
    assert bench.bus.replies.empty()
    bench.give(request(session="other"))
    _, end = await bench.bus.rest()
    assert end.session == "other"
