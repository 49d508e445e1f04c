"""A queue that is longer than the deadline of a final: what waits is not late, what a worker has may be."""

import asyncio

import pytest

from asr_workers.held_jobs import Job
from bus.contract.work import AsrRequest
from bus.transport.connection import BusConnection
from tests.integration.broker import answer, hand_made_worker, published_finals, stored
from tests.integration.conftest import Launch
from tests.integration.gateway_client import events_until_closed, figures, said, speech

pytestmark = pytest.mark.weights
DEADLINE = {"HARKEN_GATEWAY_FINAL_DEADLINE_S": "1"}
EVERYBODY_COMES_IN = {"HARKEN_GATEWAY_SESSIONS_PER_SLOT": "0", "HARKEN_GATEWAY_MAX_LAG_S": "600"}
ONE_AT_A_TIME = {"HARKEN_ASR_THREADS": "1", "HARKEN_ASR_BATCH_SIZE": "1"}
SESSIONS = 12
SLOW = {"hotwords": ["scripted:sleep=0.3"], "partials": False}
"""So that the last of all sessions waits for more than three deadlines; the worker holds two windows at a time."""


async def test_finals_that_queue_for_longer_than_the_deadline_are_decoded_once_each(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway(**DEADLINE, **EVERYBODY_COMES_IN)
    worker = await launch_worker(**ONE_AT_A_TIME)
    sockets = [await said(gateway.port, speech(4), **SLOW) for _ in range(SESSIONS)]
    sessions = await asyncio.gather(*(events_until_closed(socket) for socket in sockets))

    ends = [one for events in sessions for one in events if one["type"] in ("transcript.final", "transcript.failed")]
    assert [one["type"] for one in ends] == ["transcript.final"] * SESSIONS
    assert max(one["times"]["queue_s"] for one in ends) > 2.0
    assert await published_finals(bus) == SESSIONS
    assert (await figures(worker.port))['harken_asr_batch_size_count{kind="final"}'] == SESSIONS
    assert await stored(bus) == [1] * SESSIONS


async def test_a_final_that_a_worker_took_and_never_answered_is_asked_for_again(
    launch_gateway: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_HEDGE_FINALS="no")
    asked: list[AsrRequest] = []

    async def answer_the_second_time(job: Job, request: AsrRequest) -> None:
        asked.append(request)
        if len(asked) > 1:
            await answer(bus, request, "at last")
        await job.ack()

    async with hand_made_worker(bus, answer_the_second_time):
        events = await events_until_closed(await said(gateway.port, speech(4), partials=False))

    assert [one["text"] for one in events if one["type"] == "transcript.final"] == ["at last"]
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert (await figures(gateway.port))['harken_gateway_dropped_total{reason="never_came",what="final_result"}'] == 1
    assert await stored(bus) == [1]
