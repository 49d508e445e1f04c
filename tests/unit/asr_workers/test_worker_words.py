"""What a worker tells gateways beside the text: who has a final, and nothing that they would refuse."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from asr_workers.engines.base import Decoded, EngineOptions, Outcome, Prepared
from asr_workers.engines.scripted import ScriptedEngine
from bus.contract.work import Word
from tests.unit.asr_workers.requests import request
from tests.unit.asr_workers.test_worker import WITHIN_S, Rig, rig


async def test_it_is_told_at_once_who_has_a_final_and_where_it_can_be_handed_back() -> None:
    async with rig().running() as it:
        partial = it.give(request("partial", session="s1"))
        assert await partial.wait() == "ack"
        running = it.give(request(session="s7", segment=3, window=5, hotwords="scripted:hang"))
        async with asyncio.timeout(WITHIN_S):
            taken = await it.bus.taken.get()
        assert not running.answer
        it.engine.close()
        assert await running.wait() == "ack"
    assert (taken.session, taken.segment, taken.window, taken.worker) == ("s7", 3, 5, "w1")
    assert taken.ack_subject == running.ack_subject
    assert it.bus.taken.empty()


async def test_a_text_that_gateways_would_refuse_is_a_failure_of_its_window() -> None:
    class Delirious(ScriptedEngine):
        def decode(self, batch: Sequence[Prepared]) -> list[Outcome]:
            nowhere = (Word("w0", float("nan"), 1.0, 0.5),)
            return [replace(one, words=nowhere) for one in super().decode(batch) if isinstance(one, Decoded)]

    async with Rig(Delirious(EngineOptions(model_name="m", model_path=None))).running() as it:
        assert await it.give(request()).wait() == "nak after 0.25"
        last = it.give(request(), deliveries=4)
        assert (await it.bus.next()).failure is not None
        assert await last.wait() == "term decode_failed ValueError"
