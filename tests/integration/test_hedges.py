"""A worker that keeps a final to itself, and windows that nobody waits for: real processes on a real nats-server."""

import asyncio

import pytest

from asr_workers.held_jobs import Job
from asr_workers.presence import tell_taken
from bus.contract import subjects
from bus.contract.work import AsrCancel, AsrRequest, AsrResult, decode_cancel, decode_result, encode
from bus.transport.connection import BusConnection
from tests.conftest import POOL
from tests.integration.broker import hand_made_worker, published_finals, stored, unacknowledged
from tests.integration.conftest import Launch
from tests.integration.gateway_client import events_until_closed, figures, said, speech
from tests.unit.asr_workers.requests import request

WITHIN_S = 30.0
ONE_AT_A_TIME = {"HARKEN_ASR_THREADS": "1", "HARKEN_ASR_BATCH_SIZE": "1"}


@pytest.mark.weights
async def test_a_final_that_one_worker_keeps_is_answered_by_another_and_then_called_off(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    # A real model may take long to start where much else runs; until then it is not the deadline that asks again.
    gateway = await launch_gateway(HARKEN_GATEWAY_FINAL_DEADLINE_S="90")
    await bus.subscribe(subjects.alive_asr("w1"), lambda _, data: None)
    cancels: asyncio.Queue[AsrCancel] = asyncio.Queue()
    await bus.subscribe(subjects.cancel_asr(POOL), lambda _, data: cancels.put_nowait(decode_cancel(data)))
    kept: list[AsrRequest] = []
    renewals: list[asyncio.Task[None]] = []

    async def renew(job: Job) -> None:
        while True:
            await job.in_progress()
            await asyncio.sleep(1)

    async def keep(job: Job, asked: AsrRequest) -> None:
        if kept:
            await job.nak(0.1)
            return
        kept.append(asked)
        await tell_taken(bus, asked, worker="w1", ack_subject=job.ack_subject)
        renewals.append(asyncio.create_task(renew(job)))

    async with hand_made_worker(bus, keep):
        socket = await said(gateway.port, speech(4), partials=False)
        await unacknowledged(bus, lambda held: held == 1)
        other = await launch_worker()
        events = await events_until_closed(socket)
        async with asyncio.timeout(WITHIN_S):
            cancel = await cancels.get()
        for task in renewals:
            task.cancel()

    (final,) = [one for one in events if one["type"] == "transcript.final"]
    assert final["text"]
    assert (cancel.session, cancel.segment, cancel.window) == (kept[0].session, kept[0].segment, kept[0].window)
    shown = await figures(gateway.port)
    assert shown["harken_gateway_hedges_total"] == 1
    assert shown['harken_gateway_cancels_total{reason="answered"}'] == 1
    assert (await figures(other.port))['harken_asr_batch_size_count{kind="final"}'] == 1
    assert await published_finals(bus) == 2
    assert await stored(bus) == [1]


async def test_a_final_that_waits_in_a_worker_is_not_decoded_once_it_is_cancelled(
    launch_worker: Launch, bus: BusConnection
) -> None:
    worker = await launch_worker(**ONE_AT_A_TIME)
    results: asyncio.Queue[AsrResult] = asyncio.Queue()
    await bus.subscribe(subjects.inbox_all("g1"), lambda _, data: results.put_nowait(decode_result(data)))
    await bus.flush()
    for session, hotwords in (("s1", "scripted:sleep=2"), ("s2", ""), ("s3", "")):
        asked = encode(request(session=session, hotwords=hotwords))
        await bus.publish_stored(subjects.asr_final(POOL, "t1", session), asked, msg_id=session)
    await unacknowledged(bus, lambda held: held == 2)
    # One waits in the worker, one in the broker: neither is decoded.
    for session in ("s2", "s3"):
        cancel = AsrCancel(session=session, segment=1, window=1)
        await bus.publish(subjects.cancel_asr(POOL), encode(cancel))

    async with asyncio.timeout(WITHIN_S):
        assert (await results.get()).session == "s1"
    await unacknowledged(bus, lambda held: held == 0)

    assert results.empty()
    assert (await figures(worker.port))['harken_asr_dropped_total{reason="cancelled"}'] == 2
