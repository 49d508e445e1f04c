from dataclasses import replace

from bus.contract.chat_work import ChatDone
from llm_workers.answer import Patience
from llm_workers.engines.base import EngineOptions
from llm_workers.engines.scripted import ScriptedEngine, expected_answer
from tests.unit.llm_workers.requests import request, said
from tests.unit.llm_workers.workers import OddEngine, at_work


async def test_the_first_piece_does_not_wait_for_others() -> None:
    async with at_work(tokens_per_s="1") as bench:
        bench.give(request("hello there"))
        await bench.bus.taken()
        assert (await bench.bus.delta()).text == "hello.1"


async def test_the_pieces_are_counted_for_who_must_know_that_none_was_lost() -> None:
    async with at_work(tokens_per_s="100") as bench:
        bench.give(request("hello"))
        await bench.bus.taken()
        deltas = 0
        while not isinstance(reply := await bench.bus.next(), ChatDone):
            deltas += 1
        assert reply.deltas == deltas > 1


async def test_an_answer_goes_on_after_its_beginning() -> None:
    whole = expected_answer("hello there")
    async with at_work() as bench:
        bench.give(request("hello there", prefill=whole[:20], attempt=2))
        text, _ = await bench.bus.rest()
        assert whole[:20] + text == whole
        assert bench.count("continuations_total") == 1


async def test_an_answer_over_its_deadline_is_ended() -> None:
    async with at_work() as bench:
        job = bench.give(request("hi scripted:hang", deadline_s=0.01))
        failed = await bench.bus.failed()
        assert (failed.code, failed.retryable, await job.wait()) == ("chat_failed", True, "ack")
        assert bench.engine.running == 0


async def test_an_engine_that_falls_silent_is_not_waited_for() -> None:
    patience = Patience(first_token_s=30.0, next_token_s=0.01)
    async with at_work(patience=patience) as bench:
        bench.give(request("hi scripted:hang"))
        assert (await bench.bus.failed()).retryable
        assert bench.engine.running == 0


async def test_nor_is_one_that_never_begins() -> None:
    patience = Patience(first_token_s=0.01, next_token_s=30.0)
    async with at_work(patience=patience, first_token_s="60") as bench:
        bench.give(request("hi"))
        assert (await bench.bus.failed()).retryable


async def test_a_conversation_that_is_too_long_loses_its_oldest_turns() -> None:
    turns = tuple(message for _ in range(40) for message in (said("user", "w " * 200), said("assistant", "w " * 200)))
    async with at_work() as bench:
        bench.give(request(messages=(*turns, said("user", "hello there"))))
        await bench.bus.rest()
        (prompt,) = bench.engine.started
        assert 0 < len(prompt.messages) < len(turns)
        assert prompt.messages[-1] == said("user", "hello there")
        assert bench.count("dropped_turns_total") > 0


async def test_a_last_turn_that_is_too_long_is_refused_for_good() -> None:
    async with at_work() as bench:
        bench.give(request("word " * 5000))
        failed = await bench.bus.failed()
        assert (failed.code, failed.retryable) == ("invalid_message", False)


async def test_an_answer_without_an_end_is_a_failure() -> None:
    async with at_work(OddEngine(EngineOptions(model_name="m"))) as bench:
        bench.give(request())
        assert (await bench.bus.failed()).retryable


async def test_an_engine_without_prefill_is_not_asked_to_go_on() -> None:
    engine = ScriptedEngine(EngineOptions(model_name="m"))
    engine._capabilities = replace(engine.capabilities, can_prefill=False)
    async with at_work(engine) as bench:
        bench.give(request(prefill="hello.1"))
        failed = await bench.bus.failed()
        assert (failed.code, failed.retryable) == ("chat_failed", False)


async def test_pieces_that_come_quickly_go_out_together() -> None:
    async with at_work() as bench:
        bench.give(request("hello there"))
        text, done = await bench.bus.rest()
        assert text == expected_answer("hello there")
        assert isinstance(done, ChatDone) and done.deltas < done.usage.completion_tokens


async def test_what_came_before_a_failure_goes_out_before_its_word() -> None:
    async with at_work() as bench:
        bench.give(request("hi scripted:fail"))
        text, _ = await bench.bus.rest()
        assert text == "hi.1 hi.2 hi.3"


async def test_the_times_of_an_answer_add_up() -> None:
    async with at_work(tokens_per_s="200", first_token_s="0.05") as bench:
        bench.give(request("hello"))
        _, done = await bench.bus.rest()
        assert isinstance(done, ChatDone)
        times = done.timings
        assert times.queue_s == 0.25
        assert times.prefill_s >= 0.05
        assert times.generate_s > 0
        assert times.emit_s >= 0
