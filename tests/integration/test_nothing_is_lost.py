"""Faults in mid-session: the transcript is whole and stored once. The scripted engine numbers words by their place."""

import asyncio

import pytest

from asr_workers.held_jobs import Job
from bus.contract.records import TranscriptFinal
from bus.contract.work import AsrRequest
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from tests.integration.broker import hand_made_worker, watch
from tests.integration.conftest import Launch
from tests.integration.gateway_client import AUDIO_END, closed_with, event, said, speech, started, undisturbed_text

pytestmark = pytest.mark.weights


async def test_a_whole_session_shows_and_stores_each_segment_once(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    records = await watch(bus)
    socket = await said(gateway.port, speech())

    final = await event(socket, "transcript.final")
    assert (await event(socket, "audio.committed"))["offset"] <= len(speech()) // 2
    await event(socket, "session.ended")
    assert await closed_with(socket) == 1000
    async with asyncio.timeout(10):
        record = await records.get()
    assert isinstance(record, TranscriptFinal)
    assert (record.segment, record.text) == (final["segment"], final["text"])
    assert records.empty()


async def test_what_a_vanished_client_said_is_still_stored(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    records = await watch(bus)
    socket = await started(gateway.port)
    await socket.send(speech())
    await event(socket, "speech.started")
    socket.transport.abort()

    async with asyncio.timeout(30):
        record = await records.get()
    assert isinstance(record, TranscriptFinal) and record.text


async def test_a_restart_of_nats_in_mid_session_costs_a_pause_and_no_word(
    launch_gateway: Launch, launch_worker: Launch, nats_server: EmbeddedNats
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    expected = await undisturbed_text(gateway.port, speech())

    socket = await started(gateway.port)
    await socket.send(speech()[: 2 * 16_000 * 3])
    await event(socket, "speech.started")
    await nats_server.kill()
    assert (await event(socket, "error"))["code"] == "bus_unavailable"
    await socket.send(speech()[2 * 16_000 * 3 :])
    await socket.send(AUDIO_END)
    await nats_server.start()

    assert (await event(socket, "transcript.final"))["text"] == expected
    await event(socket, "session.ended")
    assert await closed_with(socket) == 1000


async def test_a_window_that_kills_every_worker_fails_its_segment_and_nothing_else(
    launch_gateway: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()

    async def hand_back(job: Job, request: AsrRequest) -> None:
        await job.nak()

    async with hand_made_worker(bus, hand_back):
        socket = await said(gateway.port, speech(), partials=False)
        failed = await event(socket, "transcript.failed")
        await event(socket, "session.ended")

    assert failed["code"] == "decode_failed"
    assert await closed_with(socket) == 1000


async def test_a_window_that_a_worker_refuses_for_good_fails_its_segment_though_nobody_answers(
    launch_gateway: Launch, bus: BusConnection
) -> None:
    # Nothing but the broker's advisory can tell in time: the deadline of the gateway is half a minute, three times.
    gateway = await launch_gateway()

    async def refuse(job: Job, request: AsrRequest) -> None:
        await job.term("cannot be read")

    async with hand_made_worker(bus, refuse):
        socket = await said(gateway.port, speech(), partials=False)
        failed = await event(socket, "transcript.failed")
        await event(socket, "session.ended")

    assert failed["code"] == "decode_failed"
    assert await closed_with(socket) == 1000
