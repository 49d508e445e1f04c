"""Windows that may have ended another worker, and engines that decode nothing any more."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from asr_workers.engines.base import Decoded, EngineOptions, Outcome, Prepared, Window
from asr_workers.engines.scripted import ScriptedEngine
from asr_workers.health import EngineBroken
from tests.unit.asr_workers.requests import request
from tests.unit.asr_workers.test_worker import WITHIN_S, Rig, rig


async def test_a_final_that_was_delivered_twice_before_runs_with_no_other_final_beside_it() -> None:
    async with rig(max_batch=4).running() as it:
        first = it.give(request(session="s1", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        suspect = it.give(request(session="s2"), deliveries=3)
        later = it.give(request(session="s3"))
        partial = it.give(request("partial", session="s4"))
        await it.scheduler.wait(ready=2)  # the first final and the partial: partials have nothing to lose
        assert it.finals.left == 1
        it.engine.close()
        for job in (first, partial, suspect, later):
            assert await job.wait() == "ack"
    assert [len(call) for call in it.engine.calls] == [1, 1, 1, 1]


async def test_a_drain_hands_back_a_suspect_that_still_waits_for_its_turn() -> None:
    async with rig(ack_wait_s=0.03).running() as it:
        running = it.give(request(session="s1", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        suspect = it.give(request(session="s2"), deliveries=3)
        async with asyncio.timeout(WITHIN_S):
            await suspect.renewed.wait()  # it is held
        draining = asyncio.create_task(it.worker.drain())
        assert await suspect.wait() == "nak"
        it.engine.close()
        assert await running.wait() == "ack"
        await draining


async def test_an_engine_that_fails_every_window_ends_the_worker() -> None:
    it = rig()
    for number in range(20):
        it.give(request(session=f"s{number}", hotwords="scripted:raise"))
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(WITHIN_S):
            await it.worker.run(it.finals, it.partials)
    it.close()
    assert caught.group_contains(EngineBroken)


async def test_an_engine_that_runs_out_of_memory_before_it_decodes_ends_the_worker() -> None:
    class Full(ScriptedEngine):
        def prepare(self, window: Window) -> Prepared:
            raise MemoryError

    it = Rig(Full(EngineOptions(model_name="m", model_path=None)))
    first = it.give(request())
    for number in range(20):
        it.give(request(session=f"s{number}"))
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(WITHIN_S):
            await it.worker.run(it.finals, it.partials)
    it.close()
    assert caught.group_contains(EngineBroken)
    assert first.answer == "nak after 0.25", "until then its windows go to others"


async def test_an_engine_whose_texts_nobody_would_take_ends_the_worker() -> None:
    class Delirious(ScriptedEngine):
        def decode(self, batch: Sequence[Prepared]) -> list[Outcome]:
            return [replace(one, text="a" * 20_000) for one in super().decode(batch) if isinstance(one, Decoded)]

    it = Rig(Delirious(EngineOptions(model_name="m", model_path=None)))
    for number in range(20):
        it.give(request(session=f"s{number}"))
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(WITHIN_S):
            await it.worker.run(it.finals, it.partials)
    it.close()
    assert caught.group_contains(EngineBroken)


async def test_windows_that_cannot_be_prepared_end_nothing() -> None:
    class Choosy(ScriptedEngine):
        def prepare(self, window: Window) -> Prepared:
            raise ValueError("the model does not know this language")

    async with Rig(Choosy(EngineOptions(model_name="m", model_path=None))).running() as it:
        for number in range(40):
            await it.give(request(session=f"s{number}")).wait()


async def test_failures_between_successes_end_nothing() -> None:
    async with rig(max_batch=1).running() as it:
        for number in range(40):
            bad = it.give(request(session=f"s{number}", hotwords="scripted:raise" if number % 4 else ""))
            await bad.wait()
