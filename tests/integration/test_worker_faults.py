"""Workers that die, hang, or answer nonsense in the middle of their work: real processes on a real nats-server."""

import asyncio
import signal

import msgspec
import pytest

from asr_workers.held_jobs import Job
from bus.contract import subjects
from bus.contract.work import AsrRequest, AsrResult, Word, encode
from bus.transport.connection import BusConnection
from tests.integration.broker import (
    answer,
    hand_made_worker,
    lease_finals_for,
    published_finals,
    stored,
    watch_taken,
)
from tests.integration.conftest import Launch
from tests.integration.gateway_client import closed_with, event, events_until_closed, figures, said, speech
from tests.integration.patience import needs_patience

pytestmark = pytest.mark.weights
WITHIN_S = 30.0
SLOW = {"hotwords": ["scripted:sleep=1"], "partials": False}


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=needs_patience)])
async def test_what_a_worker_has_when_it_dies_or_hangs_goes_to_another_long_before_its_lease_is_over(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection, number: signal.Signals
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_HEDGE_FINALS="false")
    workers = {worker.worker: worker for worker in [await launch_worker(), await launch_worker()]}
    notices = await watch_taken(bus)
    await lease_finals_for(bus, 600)
    socket = await said(gateway.port, speech(), **SLOW)
    async with asyncio.timeout(WITHIN_S):
        taken = await notices.get()
        workers[taken.worker].process.send_signal(number)
        again = await notices.get()

    final = await event(socket, "transcript.final")
    assert (again.segment, again.window) == (taken.segment, taken.window)
    assert again.worker != taken.worker
    assert final["segment"] == taken.segment and final["text"]
    assert await closed_with(socket) == 1000
    assert await published_finals(bus) == await segments(bus), "the broker delivered it again, nobody asked anew"


async def test_a_worker_that_dies_between_its_answer_and_the_acknowledgement_doubles_nothing(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    answered = asyncio.Event()
    kept: list[Job] = []

    async def answer_and_die(job: Job, request: AsrRequest) -> None:
        if answered.is_set():
            await job.nak(0.05)
            return
        await answer(bus, request, "said once")
        kept.append(job)
        answered.set()

    async with hand_made_worker(bus, answer_and_die):
        socket = await said(gateway.port, speech(4), partials=False)
        await answered.wait()
    other = await launch_worker()
    await kept[0].nak()  # as its lease runs out
    events = await events_until_closed(socket)
    await decoded(other.port, finals=1)

    assert [one["text"] for one in events if one["type"] == "transcript.final"] == ["said once"]
    assert await stored(bus) == [1]


@needs_patience
async def test_a_window_that_kills_its_workers_is_given_up_and_others_go_on(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    await lease_finals_for(bus, 600)
    victims = [await launch_worker()]
    poisoned = await said(gateway.port, speech(4), hotwords=["scripted:crash"], partials=False)
    for _ in range(3):
        await victims[-1].process.wait()
        victims.append(await launch_worker())
    await victims[-1].process.wait()
    survivor = await launch_worker()

    failed = await event(poisoned, "transcript.failed")
    assert failed["code"] == "decode_failed"
    assert await closed_with(poisoned) == 1000
    healthy = await said(gateway.port, speech(4), partials=False)
    assert (await event(healthy, "transcript.final"))["text"]
    assert await closed_with(healthy) == 1000
    assert survivor.process.returncode is None


async def test_a_worker_that_answers_nonsense_harms_neither_the_gateway_nor_the_final(
    launch_gateway: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()

    async def rave(job: Job, request: AsrRequest) -> None:
        inbox = subjects.inbox(request.gateway, request.session)
        right = AsrResult(
            session=request.session,
            segment=request.segment,
            window=request.window,
            kind="final",
            text="hello there",
            words=(Word("hello", 0.0, 5000.0, 0.5), Word("there", 6000.0, 7000.0, 0.5)),
        )
        word = right.words[0]
        for wrong in (
            {"session": "another"},
            {"segment": 999},
            {"window": request.window + 1},
            {"kind": "partial"},
            {"text": "a" * 900_000},
            {"words": (word,) * 5_000},
            {"words": (msgspec.structs.replace(word, start_s=float("nan")),)},
            {"language_probability": float("inf")},
            {"version": 7},
        ):
            await bus.publish(inbox, encode(msgspec.structs.replace(right, **wrong)))
        for garbage in (b"", b"\xc1", b"\x00" * 900_000, encode(right)[:-3], encode(request)):
            await bus.publish(inbox, garbage)
            await bus.publish(subjects.taken(request.gateway, request.session), garbage)
        await bus.publish(f"{inbox}.more.tokens", encode(right))
        await bus.publish(subjects.presence_asr("std", "w1"), b"\xc1")
        await bus.publish(inbox, encode(right))
        await job.ack()

    async with hand_made_worker(bus, rave):
        socket = await said(gateway.port, speech(4), partials=False, word_times=True)
        events = await events_until_closed(socket)

    (final,) = [one for one in events if one["type"] == "transcript.final"]
    assert final["text"] == "hello there"
    assert all(0.0 <= word["start_s"] <= word["end_s"] <= 4.0 for word in final["words"])
    assert await stored(bus) == [1]
    shown = await figures(gateway.port)
    assert shown['harken_gateway_dropped_total{reason="undecodable",what="result"}'] == 12
    assert shown['harken_gateway_dropped_total{reason="stale",what="final_result"}'] == 2


async def segments(bus: BusConnection) -> int:
    return sum(await stored(bus))


async def decoded(port: int, *, finals: int) -> None:
    """Return once a worker has decoded so many finals."""
    async with asyncio.timeout(WITHIN_S):
        while (await figures(port)).get('harken_asr_batch_size_count{kind="final"}', 0) < finals:
            pass
