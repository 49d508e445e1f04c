import asyncio

import msgspec
import pytest

from bus.contract.chat_work import BUSY, LEAVING, ChatDone, ChatFailed, ChatMessage, encode_chat
from llm_workers.engines.base import EngineOptions
from llm_workers.engines.scripted import ScriptedEngine, expected_answer
from llm_workers.results import BROKEN_AFTER
from llm_workers.worker import EngineBroken
from tests.unit.llm_workers.requests import request
from tests.unit.llm_workers.workers import WITHIN_S, FakeJob, OddEngine, at_work


async def test_a_request_is_taken_answered_in_pieces_ended_and_acknowledged() -> None:
    async with at_work() as bench:
        job = bench.give(request("hello there"))
        taken = await bench.bus.taken()
        text, done = await bench.bus.rest()
        assert (taken.worker, taken.model, taken.attempt) == ("w1", "m", 1)
        assert text == expected_answer("hello there")
        assert isinstance(done, ChatDone)
        assert (done.finish_reason, done.usage.completion_tokens) == ("stop", 24)
        assert done.timings.queue_s == 0.25
        assert await job.wait() == "ack"
        assert bench.count("tokens_total", kind="completion") == 24
        assert bench.count("requests_total", way="queue") == 1


async def test_who_asks_directly_is_answered_like_all_others() -> None:
    async with at_work() as bench:
        bench.ask(request("hello"))
        assert (await bench.bus.taken()).worker == "w1"
        text, done = await bench.bus.rest()
        assert text == expected_answer("hello")
        assert isinstance(done, ChatDone) and done.timings.queue_s == 0
        assert bench.count("requests_total", way="direct") == 1


async def test_who_asks_directly_while_no_slot_is_free_is_told_at_once() -> None:
    async with at_work(slots=1) as bench:
        bench.ask(request("hello scripted:hang"))
        await bench.bus.taken()
        bench.ask(request("hello", session="s2"))
        failed = await bench.bus.failed()
        assert (failed.session, failed.code, failed.retryable) == ("s2", BUSY, True)


async def test_no_request_is_pulled_while_no_slot_is_free() -> None:
    async with at_work(slots=1) as bench:
        bench.ask(request("hello scripted:hang"))
        await bench.source.idle.wait()
        waiting = bench.give(request("hello", session="s2"))
        assert bench.source.left == 1
        bench.cancel()
        assert await waiting.wait() == "ack"


async def test_several_answers_run_at_once() -> None:
    async with at_work(slots=2) as bench:
        for session in ("s1", "s2"):
            bench.give(request("hello scripted:hang", session=session))
        begun = [await bench.bus.next() for _ in range(4)]
        assert sorted(type(reply).__name__ + reply.session for reply in begun) == [
            "ChatDeltas1",
            "ChatDeltas2",
            "ChatTakens1",
            "ChatTakens2",
        ]
        assert (bench.engine.running, bench.worker.free_slots) == (2, 0)


async def test_an_alias_names_the_model_too_and_any_other_name_is_refused() -> None:
    async with at_work() as bench:
        bench.give(request(model="small"))
        await bench.bus.taken()
        await bench.bus.rest()
        job = bench.give(request(model="large", answer=2))
        failed = await bench.bus.failed()
        assert (failed.code, failed.retryable, await job.wait()) == ("unknown_model", False, "ack")


async def test_what_cannot_be_read_becomes_a_dead_letter() -> None:
    async with at_work() as bench:
        other = FakeJob(msgspec.msgpack.encode({**msgspec.msgpack.decode(encode_chat(request())), "version": 9}))
        garbage = FakeJob(b"garbage")
        for job in (other, garbage):
            bench.source.put(job)
            assert (await job.wait()).startswith("term")
        bench.worker.on_direct(b"garbage")
        assert bench.count("refused_total", reason="undecodable") == 3


async def test_an_engine_that_fails_says_whether_to_try_again() -> None:
    async with at_work() as bench:
        for answer, (directive, retryable) in enumerate([("fail", True), ("refuse", False)], start=1):
            job = bench.give(request(f"hi scripted:{directive}", answer=answer))
            failed = await bench.bus.failed()
            assert (failed.code, failed.retryable, await job.wait()) == ("chat_failed", retryable, "ack")
        assert bench.count("failures_total", code="chat_failed") == 2


async def test_what_a_failing_engine_gave_is_told_before_its_failure() -> None:
    async with at_work() as bench:
        bench.give(request("hi scripted:fail"))
        text, end = await bench.bus.rest()
        assert (text, type(end)) == ("hi.1 hi.2 hi.3", ChatFailed)


async def test_leases_are_renewed_while_an_answer_runs() -> None:
    async with at_work(ack_wait_s=0.03) as bench:
        job = bench.give(request("hi scripted:hang"))
        job.refuses = True
        for _ in range(2):
            async with asyncio.timeout(WITHIN_S):
                await job.renewed.wait()
            job.renewed.clear()
        assert bench.count("bus_errors_total", call="in_progress") >= 1


async def test_an_attempt_whose_words_are_lost_ends_and_says_so_when_the_bus_is_back() -> None:
    async with at_work(tokens_per_s="100") as bench:
        job = bench.give(request("hello"))
        await bench.bus.taken()
        await bench.bus.delta()
        bench.bus.refuses = 2
        failed = await bench.bus.failed()
        assert (failed.code, failed.retryable, await job.wait()) == ("chat_failed", True, "ack")
        assert bench.engine.running == 0


async def test_a_broker_that_cannot_be_told_is_counted_and_does_no_harm() -> None:
    async with at_work() as bench:
        job = FakeJob(encode_chat(request()), refuses=True)
        bench.source.put(job)
        await bench.bus.rest()
        await job.wait()
        bench.give(request(answer=2))
        await bench.bus.taken()
        assert bench.count("bus_errors_total", call="ack") == 1


async def test_whatever_an_engine_raises_is_told_and_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    engine = OddEngine(EngineOptions(model_name="m"))
    engine.raises = KeyError("secret words")
    async with at_work(engine) as bench:
        bench.give(request())
        failed = await bench.bus.failed()
        assert failed.retryable and "secret" not in failed.message + caplog.text


async def test_an_engine_that_fails_time_after_time_ends_the_worker() -> None:
    async with at_work() as bench:
        for answer in range(BROKEN_AFTER):
            bench.give(request("hi scripted:fail", answer=answer + 1))
            await bench.bus.failed()
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(bench.running, WITHIN_S)
        assert ended.group_contains(EngineBroken)


async def test_one_answer_that_fails_time_after_time_ends_nothing() -> None:
    async with at_work() as bench:
        for attempt in range(1, BROKEN_AFTER + 2):
            bench.give(request("hi scripted:fail", attempt=attempt))
            await bench.bus.failed()
        assert not bench.running.done()


async def test_one_success_forgets_the_failures_before() -> None:
    async with at_work() as bench:
        for answer in range(1, 2 * BROKEN_AFTER):
            directive = "" if answer == BROKEN_AFTER else "scripted:fail"
            bench.give(request(f"hi {directive}", answer=answer))
            await bench.bus.rest()
        assert not bench.running.done()


class MortalEngine(ScriptedEngine):
    """One whose model may end."""

    def __init__(self, options: EngineOptions) -> None:
        super().__init__(options)
        self.ended = asyncio.Event()


async def test_when_the_model_ends_who_waits_is_told_and_the_worker_ends_too() -> None:
    engine = MortalEngine(EngineOptions(model_name="m"))
    async with at_work(engine) as bench:
        bench.give(request("hi scripted:hang"))
        await bench.bus.taken()
        engine.ended.set()
        assert (await bench.bus.failed()).retryable
        with pytest.raises(ExceptionGroup):
            await asyncio.wait_for(bench.running, WITHIN_S)
        assert bench.worker.free_slots == 0


async def test_draining_takes_no_more_and_lets_what_runs_end() -> None:
    async with at_work(tokens_per_s="200") as bench:
        job = bench.give(request("hello"))
        await bench.bus.taken()
        draining = asyncio.create_task(bench.worker.drain(WITHIN_S))
        text, done = await bench.bus.rest()
        await asyncio.wait_for(asyncio.gather(draining, bench.running), WITHIN_S)
        assert (text, job.answer) == (expected_answer("hello"), "ack")
        assert isinstance(done, ChatDone)


async def test_what_outlasts_the_drain_is_told_to_go_elsewhere() -> None:
    async with at_work() as bench:
        job = bench.give(request("hi scripted:hang"))
        await bench.bus.taken()
        await bench.worker.drain(0.01)
        failed = await bench.bus.failed()
        assert (failed.code, failed.retryable, job.answer) == (LEAVING, True, "ack")
        await asyncio.wait_for(bench.running, WITHIN_S)


async def test_who_asks_a_draining_worker_directly_is_told_so() -> None:
    async with at_work() as bench:
        bench.give(request("hi scripted:hang"))
        await bench.bus.taken()
        draining = asyncio.create_task(bench.worker.drain(WITHIN_S))
        await asyncio.sleep(0)
        assert bench.worker.free_slots == 0
        bench.ask(request("hello", session="s2"))
        assert (await bench.bus.failed()).code == LEAVING
        bench.cancel()
        await draining


async def test_a_source_that_is_closed_ends_the_worker_when_nothing_runs() -> None:
    async with at_work() as bench:
        bench.source.put(None)
        await asyncio.wait_for(bench.running, WITHIN_S)


async def test_no_words_of_the_user_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with at_work() as bench:
        for answer, directive in enumerate(("", "scripted:fail", "scripted:refuse"), start=1):
            bench.give(
                request(f"secret {directive}", answer=answer, messages=(ChatMessage("user", f"secret {directive}"),))
            )
            await bench.bus.rest()
    assert "secret" not in caplog.text


async def test_a_job_that_came_when_no_slot_was_free_any_more_is_sent_elsewhere() -> None:
    async with at_work() as bench:
        late, garbage = FakeJob(encode_chat(request())), FakeJob(b"garbage")
        await bench.worker.give_back(late)
        failed = await bench.bus.failed()
        assert (failed.code, failed.retryable, late.answer) == (BUSY, True, "ack")
        await bench.worker.give_back(garbage)
        assert garbage.answer.startswith("term")
        await bench.worker.drain(0)
        await bench.worker.give_back(later := FakeJob(encode_chat(request())))
        assert ((await bench.bus.failed()).code, later.answer) == (LEAVING, "ack")
