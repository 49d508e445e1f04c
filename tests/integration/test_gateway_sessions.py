"""Whole sessions, and what they survive: a worker's death, NATS restarted in mid-decode, a client that never reads."""

import asyncio
import json
import signal
import socket as socket_module
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from asr_workers.presence import Heartbeats
from bus.contract import subjects
from bus.contract.work import AsrResult, decode_request, encode
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from bus.transport.raw_pull import RawPull
from tests.conftest import POOL
from tests.integration.conftest import Launch
from tests.integration.test_gateway_errors import closed_with, event, started
from tests.integration.test_gateway_http import became
from tests.integration.test_nothing_is_lost import watch

pytestmark = pytest.mark.weights
SAMPLE = Path(__file__).parents[2] / "samples" / "austen.flac"
AUDIO_END = json.dumps({"type": "audio.end"})
SLOW_DECODE = {"hotwords": ["scripted:sleep=1"], "partials": False}


def speech(seconds: int) -> bytes:
    audio, _ = soundfile.read(SAMPLE, dtype="int16", frames=16_000 * seconds)
    return bytes(audio.tobytes())


async def events_until_closed(socket: ClientConnection) -> list[dict[str, Any]]:
    events = []
    async with asyncio.timeout(30):
        try:
            while True:
                events.append(json.loads(await socket.recv()))
        except ConnectionClosed:
            return events


async def stored(bus: BusConnection) -> list[int]:
    """How many records each session has that has any."""
    info = await bus.request_api("STREAM.INFO.TRANSCRIPTS", b'{"subjects_filter": ">"}')
    return list(info["state"].get("subjects", {}).values())


async def is_decoding(bus: BusConnection) -> None:
    """Return once a worker holds a final that it has not acknowledged."""
    call = f"CONSUMER.INFO.{subjects.STREAM_ASR_FINAL}.{subjects.asr_consumer(POOL)}"
    async with asyncio.timeout(10):
        while (await bus.request_api(call))["num_ack_pending"] == 0:
            pass


async def undisturbed_text(port: int, audio: bytes) -> str:
    socket = await started(port)
    await socket.send(audio)
    await socket.send(AUDIO_END)
    text: str = (await event(socket, "transcript.final"))["text"]
    assert text
    await closed_with(socket)
    return text


async def test_an_utterance_shows_growing_text_and_then_a_final_that_is_stored(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_PARTIAL_INTERVAL_S="0.1")
    await launch_worker()
    socket = await started(gateway.port)
    reading = asyncio.create_task(events_until_closed(socket))
    audio = speech(8)
    for offset in range(0, len(audio), 8_000):
        await socket.send(audio[offset : offset + 8_000])
        await asyncio.sleep(0.05)  # a live client, at five times the pace of speech
    await socket.send(AUDIO_END)
    events = await reading

    assert [one["seq"] for one in events] == list(range(2, len(events) + 2))
    first = [one for one in events if one.get("segment") == 1]
    kinds = [one["type"] for one in first]
    partials = first[1:-2]
    assert kinds == ["speech.started", *["transcript.partial"] * len(partials), "speech.ended", "transcript.final"]
    assert len(partials) >= 3
    assert partials[-1]["stable"]
    for one, following in zip(partials, partials[1:], strict=False):
        assert following["stable"].startswith(one["stable"])
    assert all(one["text"].startswith(one["stable"]) for one in partials)
    assert first[-1]["text"].startswith(partials[-1]["stable"])

    finals = sum(one["type"] == "transcript.final" for one in events)
    assert [one["type"] for one in events[-2:]] == ["audio.committed", "session.ended"]
    assert (events[-2]["offset"], events[-1]["segments"]) == (len(audio) // 2, finals)
    assert socket.close_code == 1000
    assert await stored(bus) == [finals]


async def test_a_worker_that_dies_in_mid_decode_costs_time_and_no_word(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    doomed = await launch_worker()
    audio = speech(7)
    expected = await undisturbed_text(gateway.port, audio)

    socket = await started(gateway.port, **SLOW_DECODE)
    await socket.send(audio)
    await socket.send(AUDIO_END)
    await is_decoding(bus)
    assert await doomed.stop(signal.SIGKILL) == -signal.SIGKILL
    await launch_worker()

    assert (await event(socket, "transcript.final"))["text"] == expected
    assert await closed_with(socket) == 1000
    assert await stored(bus) == [1, 1]


async def test_a_restart_of_nats_in_mid_decode_stores_the_final_once(
    launch_gateway: Launch, launch_worker: Launch, nats_server: EmbeddedNats, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    audio = speech(7)
    expected = await undisturbed_text(gateway.port, audio)

    socket = await started(gateway.port, **SLOW_DECODE)
    await socket.send(audio)
    await socket.send(AUDIO_END)
    await is_decoding(bus)
    await nats_server.kill()
    await nats_server.start()

    assert (await event(socket, "transcript.final"))["text"] == expected
    assert await closed_with(socket) == 1000
    async with asyncio.timeout(10):
        await bus.wait_connected()
    assert await stored(bus) == [1, 1]


async def test_a_drain_ends_a_session_that_goes_on_by_force_and_keeps_its_text(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_DRAIN_TIMEOUT_S="0.5")
    await launch_worker()
    socket = await started(gateway.port)
    await socket.send(speech(4))
    await event(socket, "speech.started")
    gateway.process.send_signal(signal.SIGTERM)

    assert (await event(socket, "session.draining"))["within_s"] == 0.5
    assert (await event(socket, "transcript.final"))["text"]
    error = await event(socket, "error")
    assert (error["code"], error["retryable"], error["fatal"]) == ("draining", True, True)
    assert await closed_with(socket) == 1012
    assert await gateway.stop(signal.SIGCONT) == 0
    assert await stored(bus) == [1]


@asynccontextmanager
async def answering(bus: BusConnection, text: str) -> AsyncIterator[None]:
    """A worker that says `text` to everything."""
    finals = RawPull(bus, stream=subjects.STREAM_ASR_FINAL, consumer=subjects.asr_consumer(POOL))

    async def answer() -> None:
        while (job := await finals.fetch(wait_s=None)) is not None:
            request = decode_request(job.data)
            result = AsrResult(
                session=request.session, segment=request.segment, window=request.window, kind=request.kind, text=text
            )
            await bus.publish(subjects.inbox(request.gateway, request.session), encode(result))
            await job.ack()

    beats = Heartbeats(bus, worker="w1", pool=POOL, model="base", slots=1)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer())
        beating = tasks.create_task(beats.run())
        yield
        beating.cancel()
        await finals.aclose()


async def deaf_client(port: int) -> ClientConnection:
    """A socket with little room for what nobody reads."""
    raw = socket_module.create_connection(("127.0.0.1", port))
    raw.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_RCVBUF, 65_536)
    return await connect(f"ws://127.0.0.1:{port}/v1/stream", sock=raw, max_size=None, max_queue=1, compression=None)


async def test_a_client_that_never_reads_is_cut_and_what_it_said_is_stored(
    launch_gateway: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_MAX_OUTBOX_EVENTS="16")
    records = await watch(bus)
    # Large finals fill the buffers of the sockets with few utterances; then the gateway's queue fills.
    async with answering(bus, "word " * 180_000):
        await became(gateway.port, 200)
        socket = await deaf_client(gateway.port)
        await socket.send(json.dumps({"type": "session.start", "partials": False, "vad": {"endpoint_s": 0.2}}))
        for _ in range(4):
            for offset in range(0, len(audio := speech(30)), 320_000):
                await socket.send(audio[offset : offset + 320_000])
        closed = await gateway.logged("session closed")
        socket.transport.abort()

    assert (closed["close_code"], closed["reason"]) == (4429, "client_too_slow")
    await bus.flush()
    assert records.qsize() == closed["stored"] > 5
