"""Whole sessions, and what they survive: a worker's death, NATS restarted in mid-decode, a client that never reads."""

import asyncio
import json
import signal
import socket as socket_module

import pytest
from websockets.asyncio.client import ClientConnection, connect

from asr_workers.held_jobs import Job
from bus.contract.work import AsrRequest, Word
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from tests.integration.broker import answer, hand_made_worker, is_decoding, stored, watch
from tests.integration.conftest import Launch
from tests.integration.gateway_client import (
    AUDIO_COMMIT,
    AUDIO_END,
    became,
    closed_with,
    event,
    events_until_closed,
    said,
    speech,
    started,
    undisturbed_text,
)

pytestmark = pytest.mark.weights
SLOW_DECODE = {"hotwords": ["scripted:sleep=1"], "partials": False}


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


async def test_without_speech_detection_the_client_ends_each_segment(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    early = await connect(f"ws://127.0.0.1:{gateway.port}/v1/stream", compression=None)
    await early.send(AUDIO_COMMIT)
    assert (await event(early, "error"))["fatal"]
    socket = await started(gateway.port, vad={"enabled": False}, partials=False)
    for _ in range(2):
        await socket.send(speech(3)[: 2 * 40_100])
        await socket.send(AUDIO_COMMIT)
    await socket.send(AUDIO_COMMIT)  # nothing was said since: nothing ends
    await socket.send(AUDIO_END)
    events = await events_until_closed(socket)

    ends = [(one["start_s"], one["end_s"]) for one in events if one["type"] == "transcript.final"]
    assert ends == [(0.0, 2.506), (2.506, 5.013)]
    assert (events[-1]["type"], events[-1]["segments"]) == ("session.ended", 2)
    assert socket.close_code == 1000


async def test_a_worker_that_dies_in_mid_decode_costs_time_and_no_word(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    doomed = await launch_worker()
    audio = speech(7)
    expected = await undisturbed_text(gateway.port, audio)

    socket = await said(gateway.port, audio, **SLOW_DECODE)
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

    socket = await said(gateway.port, audio, **SLOW_DECODE)
    await is_decoding(bus)
    await nats_server.kill()
    await nats_server.start()

    assert (await event(socket, "transcript.final"))["text"] == expected
    assert await closed_with(socket) == 1000
    async with asyncio.timeout(10):
        await bus.wait_connected()
    assert await stored(bus) == [1, 1]


async def test_a_drain_tells_clients_and_lets_them_finish(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    socket = await started(gateway.port)
    gateway.process.send_signal(signal.SIGTERM)
    assert (await event(socket, "session.draining"))["within_s"] == 20
    await socket.send(AUDIO_END)
    await event(socket, "session.ended")
    assert await gateway.stop(signal.SIGCONT) == 0


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


MANY_WORDS = tuple(Word(text="w" * 60, start_s=0.0, end_s=0.1, probability=1.0) for _ in range(2_000))
"""As much as a result may hold."""


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

    async def say_much(job: Job, request: AsrRequest) -> None:
        await answer(bus, request, "a", words=MANY_WORDS)
        await job.ack()

    # Large finals fill the buffers of the sockets with few utterances; then the gateway's queue fills.
    async with hand_made_worker(bus, say_much):
        await became(gateway.port, 200)
        socket = await deaf_client(gateway.port)
        await socket.send(json.dumps({"type": "session.start", "partials": False, "vad": {"endpoint_s": 0.2}}))
        for _ in range(12):
            for offset in range(0, len(audio := speech(30)), 320_000):
                await socket.send(audio[offset : offset + 320_000])
        closed = await gateway.logged("session closed")
        socket.transport.abort()

    assert (closed["close_code"], closed["reason"]) == (4429, "client_too_slow")
    await bus.flush()
    assert records.qsize() == closed["stored"] > 5
