"""Faults in mid-session: the transcript is whole and stored once. The scripted engine numbers words by their place."""

import asyncio
import json
from pathlib import Path

import pytest
import soundfile

from bus.contract import subjects
from bus.contract.presence import HEARTBEAT_INTERVAL_S, WorkerPresence, encode_presence
from bus.contract.records import Record, TranscriptFinal, decode_record
from bus.transport.assets import ensure_assets
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from bus.transport.raw_pull import RawPull
from tests.conftest import ConnectBus
from tests.integration.conftest import Launch
from tests.integration.test_gateway_errors import closed_with, event, started

pytestmark = pytest.mark.weights
SAMPLE = Path(__file__).parents[2] / "samples" / "austen.flac"
FIRST_UTTERANCE_SAMPLES = 16_000 * 8


def speech() -> bytes:
    audio, _ = soundfile.read(SAMPLE, dtype="int16", frames=FIRST_UTTERANCE_SAMPLES)
    return bytes(audio.tobytes())


async def watch(bus: BusConnection) -> asyncio.Queue[Record]:
    """Records as they are stored."""
    records: asyncio.Queue[Record] = asyncio.Queue()
    await bus.subscribe(subjects.live_tenant("default"), lambda _, data: records.put_nowait(decode_record(data)))
    await bus.flush()
    return records


async def test_a_whole_session_shows_and_stores_each_segment_once(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    records = await watch(bus)
    socket = await started(gateway.port)
    await socket.send(speech())
    await socket.send(json.dumps({"type": "audio.end"}))

    final = await event(socket, "transcript.final")
    assert (await event(socket, "audio.committed"))["offset"] <= FIRST_UTTERANCE_SAMPLES
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
    undisturbed = await started(gateway.port)
    await undisturbed.send(speech())
    await undisturbed.send(json.dumps({"type": "audio.end"}))
    expected = (await event(undisturbed, "transcript.final"))["text"]

    socket = await started(gateway.port)
    await socket.send(speech()[: 2 * 16_000 * 3])
    await event(socket, "speech.started")
    await nats_server.kill()
    assert (await event(socket, "error"))["code"] == "bus_unavailable"
    await socket.send(speech()[2 * 16_000 * 3 :])
    await socket.send(json.dumps({"type": "audio.end"}))
    await nats_server.start()

    assert (await event(socket, "transcript.final"))["text"] == expected
    await event(socket, "session.ended")
    assert await closed_with(socket) == 1000


async def test_a_window_that_kills_every_worker_fails_its_segment_and_nothing_else(
    launch_gateway: Launch, connect_bus: ConnectBus
) -> None:
    gateway = await launch_gateway()
    worker = await connect_bus()
    await ensure_assets(worker, pools=("std",))
    presence = WorkerPresence(worker="w1", pool="std", model="base", slots=1, state="ready")
    pull = RawPull(worker, stream=subjects.STREAM_ASR_FINAL, consumer=subjects.asr_consumer("std"))

    async def hand_back_everything() -> None:
        while (job := await pull.fetch(wait_s=None)) is not None:
            await job.nak()

    async def stay_known() -> None:
        while True:
            await worker.publish(subjects.presence_asr("std", "w1"), encode_presence(presence))
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(hand_back_everything()), tasks.create_task(stay_known())]
        socket = await started(gateway.port, partials=False)
        await socket.send(speech())
        await socket.send(json.dumps({"type": "audio.end"}))
        failed = await event(socket, "transcript.failed")
        await event(socket, "session.ended")
        for task in running:
            task.cancel()

    assert failed["code"] == "decode_failed"
    assert await closed_with(socket) == 1000
    await pull.aclose()
