"""Finals that are cancelled: before they come, while they wait, while they run; and finals that are asked for twice."""

import asyncio

from bus.contract.work import AsrCancel, encode
from tests.unit.asr_workers.requests import request
from tests.unit.asr_workers.test_worker import WITHIN_S, Rig, rig


def cancel(it: Rig, session: str, *, segment: int = 1, window: int = 1) -> None:
    it.worker.on_cancel(encode(AsrCancel(session=session, segment=segment, window=window)))


async def test_a_final_that_waits_is_dropped_when_it_is_cancelled() -> None:
    async with rig(max_batch=1).running() as it:
        running = it.give(request(session="s1", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        waiting = it.give(request(session="s2"))
        await it.scheduler.wait(ready=2)
        cancel(it, "s2")
        assert await waiting.wait() == "ack"
        it.engine.close()
        assert await running.wait() == "ack"
        assert (await it.bus.next()).session == "s1"
    assert it.bus.results.empty()
    assert len(it.engine.calls) == 1
    assert it.count("dropped_total", reason="cancelled") == 1
    assert it.count("jobs_in_flight", kind="final") == 0


async def test_a_cancelled_final_makes_room_for_the_next() -> None:
    async with rig(max_batch=1).running() as it:
        it.give(request(session="s1", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        it.give(request(session="s2"))
        it.give(request(session="s3"))
        await it.scheduler.wait(ready=2)
        assert it.finals.left == 1
        cancel(it, "s2")
        await it.scheduler.wait(ready=3)
        it.engine.close()
        assert {(await it.bus.next()).session, (await it.bus.next()).session} == {"s1", "s3"}


async def test_the_result_of_a_final_that_is_cancelled_while_it_runs_is_discarded() -> None:
    async with rig().running() as it:
        running = it.give(request(session="s1", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        cancel(it, "s1")
        assert await running.wait() == "ack"
        it.engine.close()
        other = it.give(request(session="s2"))
        assert await other.wait() == "ack"
        assert (await it.bus.next()).session == "s2"
    assert it.bus.results.empty()
    assert it.count("dropped_total", reason="cancelled_late") == 1


async def test_a_final_that_comes_after_its_cancel_is_not_decoded() -> None:
    async with rig().running() as it:
        cancel(it, "s1")
        assert await it.give(request(session="s1")).wait() == "ack"
        next_window = it.give(request(session="s1", window=2))
        assert await next_window.wait() == "ack"
        assert (await it.bus.next()).window == 2
    assert len(it.engine.calls) == 1
    assert it.count("dropped_total", reason="cancelled") == 1


async def test_a_suspect_that_is_cancelled_before_its_turn_is_not_decoded() -> None:
    async with rig(ack_wait_s=0.03).running() as it:
        running = it.give(request(session="s1", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        suspect = it.give(request(session="s2"), deliveries=3)
        async with asyncio.timeout(WITHIN_S):
            await suspect.renewed.wait()  # it is held
        cancel(it, "s2")
        assert await suspect.wait() == "ack"
        it.engine.close()
        assert await running.wait() == "ack"
        assert await it.give(request(session="s3")).wait() == "ack"
    assert [window.hotwords for call in it.engine.calls for window in call] == ["scripted:hang", ""]


async def test_a_second_request_for_a_final_that_is_held_goes_back_for_another_worker() -> None:
    async with rig().running() as it:
        first = it.give(request(session="s1", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        assert await it.give(request(session="s1")).wait() == "nak after 0.25"
        assert await it.give(request(session="s1"), deliveries=2).wait() == "nak after 0.25"
        last = it.give(request(session="s1"), deliveries=3)
        assert await last.wait() == "ack", "one more and the broker would give it up, and the final with it"
        it.engine.close()
        assert await first.wait() == "ack"
    assert len(it.engine.calls) == 1
    assert it.count("dropped_total", reason="duplicate") == 3


async def test_a_cancel_that_cannot_be_read_changes_nothing() -> None:
    async with rig().running() as it:
        it.worker.on_cancel(b"\xc1")
        assert await it.give(request(session="s1")).wait() == "ack"
