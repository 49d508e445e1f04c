"""What a client that does something wrong is told within a second, and that nobody else notices.

Real sockets, broker and processes. The bystander speaks all the while: they are in mid-utterance when it happens.
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedError

from bus.transport.embedded import EmbeddedNats
from tests.integration.conftest import Launch
from tests.integration.gateway_client import (
    AUDIO_END,
    SAMPLE,
    START,
    closed_with,
    dial,
    event,
    events_until_closed,
    half_said,
    say_the_rest,
    speech,
    started,
    undisturbed_text,
)

pytestmark = pytest.mark.weights
WITHIN_S = 1.0


async def told(socket: ClientConnection, *frames: str | bytes) -> dict[str, Any]:
    """The error that these frames, sent now, are answered with in time."""
    async with asyncio.timeout(WITHIN_S):
        for frame in frames:
            await socket.send(frame)
        return await event(socket, "error")


@asynccontextmanager
async def bystander(port: int) -> AsyncIterator[None]:
    """Somebody who speaks before, during and after the body, and is to get the text that they get on a quiet day."""
    expected = await undisturbed_text(port, speech())
    socket = await half_said(port)
    yield
    await say_the_rest(socket)
    events = await events_until_closed(socket)
    assert not [one for one in events if one["type"] in ("error", "transcript.failed")]
    assert [one["text"] for one in events if one["type"] == "transcript.final"] == [expected]
    assert (events[-1]["type"], socket.close_code) == ("session.ended", 1000)


def start_with(**fields: object) -> str:
    return json.dumps({**START, **fields})


FIRST_FRAMES: dict[str, tuple[str | bytes, str, int, str]] = {
    "bad JSON": ("{nonsense", "invalid_message", 4400, "must be a JSON object"),
    "JSON that is no object": ("[]", "invalid_message", 4400, "must be a JSON object"),
    "an unknown type": (
        '{"type": "session.pause"}',
        "unknown_message_type",
        4400,
        "session.start, session.resume, audio.commit, audio.end, chat.send",
    ),
    "a wrong encoding": (start_with(audio={"encoding": "g729"}), "unsupported_audio", 4415, "linear16"),
    "a wrong sample rate": (start_with(audio={"sample_rate": 4000}), "unsupported_audio", 4415, "8000"),
    "too many channels": (start_with(audio={"channels": 3}), "unsupported_audio", 4415, "from 1 to 2"),
    "a missing model": (start_with(model="nonesuch"), "unknown_model", 4404, "base"),
    "an unknown language": (start_with(language="klingon"), "invalid_message", 4400, "ISO 639-1"),
    "a value out of range": (start_with(vad={"endpoint_s": 99}), "invalid_message", 4400, "0.2 to 5"),
    "a field of a wrong type": (start_with(partials="yes"), "invalid_message", 4400, "partials"),
    "audio before the start": (bytes(3200), "audio_before_start", 4400, "session.start"),
}


@pytest.mark.parametrize(("frame", "code", "close_code", "named"), FIRST_FRAMES.values(), ids=FIRST_FRAMES.keys())
async def test_a_first_frame_that_is_wrong_is_refused_by_name(
    launch_gateway: Launch, launch_worker: Launch, frame: str | bytes, code: str, close_code: int, named: str
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    async with bystander(gateway.port):
        socket = await dial(gateway.port)
        error = await told(socket, frame)
        assert (error["code"], error["retryable"], error["fatal"]) == (code, False, True)
        assert named in error["message"]
        assert await closed_with(socket) == close_code


LATER_FRAMES: dict[str, tuple[str, str, str]] = {
    "bad JSON": ("{nonsense", "invalid_message", "must be a JSON object"),
    "an unknown type": (
        '{"type": "session.pause"}',
        "unknown_message_type",
        "session.start, session.resume, audio.commit, audio.end, chat.send",
    ),
    "a second start": (start_with(), "invalid_message", "already started"),
}


@pytest.mark.parametrize(("frame", "code", "named"), LATER_FRAMES.values(), ids=LATER_FRAMES.keys())
async def test_a_wrong_message_in_mid_session_is_answered_and_the_session_goes_on(
    launch_gateway: Launch, launch_worker: Launch, frame: str, code: str, named: str
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    expected = await undisturbed_text(gateway.port, speech())
    async with bystander(gateway.port):
        socket = await half_said(gateway.port)
        error = await told(socket, frame)
        assert (error["code"], error["retryable"], error["fatal"]) == (code, False, False)
        assert named in error["message"]

        await say_the_rest(socket)
        assert (await event(socket, "transcript.final"))["text"] == expected
        assert await closed_with(socket) == 1000


async def test_binary_garbage_for_a_container_names_what_is_accepted(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    async with bystander(gateway.port):
        socket = await started(gateway.port, audio={"encoding": "container"})
        error = await told(socket, b"\x01garbage" * 4000)
        assert (error["code"], error["retryable"], error["fatal"]) == ("bad_container", False, True)
        assert "WAV, FLAC, MP3" in error["message"]
        assert await closed_with(socket) == 4415


async def test_of_a_truncated_container_all_that_came_is_transcribed_and_the_cut_is_named(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    async with bystander(gateway.port):
        socket = await started(gateway.port, audio={"encoding": "container"})
        data = SAMPLE.read_bytes()
        await socket.send(data[: len(data) // 4])
        await event(socket, "speech.started")
        error, final = await told_at_the_end(socket)
        assert final["text"]
        assert (error["code"], error["retryable"], error["fatal"]) == ("bad_container", False, True)
        assert "ends in the middle" in error["message"]
        assert (await event(socket, "session.ended"))["segments"] == 1
        assert await closed_with(socket) == 4415


async def told_at_the_end(socket: ClientConnection) -> tuple[dict[str, Any], dict[str, Any]]:
    """The error and the final that the end of the audio is answered with in time."""
    async with asyncio.timeout(WITHIN_S):
        await socket.send(AUDIO_END)
        final = await event(socket, "transcript.final")
        return await event(socket, "error"), final


async def test_an_oversize_frame_closes_its_socket_with_the_reason(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_MAX_FRAME_BYTES="300000")
    await launch_worker()
    async with bystander(gateway.port):
        socket = await started(gateway.port)
        with pytest.raises(ConnectionClosedError) as closed:
            await told(socket, bytes(300_001))
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert "300000" in closed.value.rcvd.reason


async def test_without_a_worker_or_without_nats_a_start_is_refused(
    launch_gateway: Launch, nats_server: EmbeddedNats
) -> None:
    gateway = await launch_gateway()
    for code, named in (("no_worker", "worker"), ("bus_unavailable", "bus")):
        socket = await dial(gateway.port)
        error = await told(socket, start_with())
        assert (error["code"], error["retryable"], error["fatal"]) == (code, True, True)
        assert named in error["message"]
        assert await closed_with(socket) == 1013
        await nats_server.kill()


async def test_a_session_whose_last_worker_leaves_is_told_and_goes_on_with_the_next(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway()
    worker = await launch_worker()
    expected = await undisturbed_text(gateway.port, speech())
    socket = await half_said(gateway.port)

    async with asyncio.timeout(WITHIN_S):
        worker.process.send_signal(signal.SIGTERM)
        error = await event(socket, "error")
    assert (error["code"], error["retryable"], error["fatal"]) == ("no_worker", True, False)

    await launch_worker()
    await say_the_rest(socket)
    assert (await event(socket, "transcript.final"))["text"] == expected
    assert await closed_with(socket) == 1000


async def test_a_session_that_loses_nats_is_told_and_goes_on_when_it_is_back(
    launch_gateway: Launch, launch_worker: Launch, nats_server: EmbeddedNats
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    expected = await undisturbed_text(gateway.port, speech())
    socket = await half_said(gateway.port)

    async with asyncio.timeout(WITHIN_S):
        await nats_server.kill()
        error = await event(socket, "error")
    assert (error["code"], error["retryable"], error["fatal"]) == ("bus_unavailable", True, False)

    await say_the_rest(socket)
    await nats_server.start()
    assert (await event(socket, "transcript.final"))["text"] == expected
    assert await closed_with(socket) == 1000
