"""WhisperLive's protocol at a real gateway, spoken by hand."""

import asyncio
import json
import signal
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, events_until_closed, speech

pytestmark = pytest.mark.weights
END_OF_AUDIO = b"END_OF_AUDIO"
HELLO = {"uid": "u1", "language": None, "task": "transcribe", "model": "small", "use_vad": True}


def as_float32(audio: bytes) -> bytes:
    return (np.frombuffer(audio, dtype="<i2").astype("<f4") / 32768).tobytes()


async def ready(port: int, path: str = "/", **fields: object) -> ClientConnection:
    await became(port, 200)
    socket = await connect(f"ws://127.0.0.1:{port}{path}", compression=None)
    await socket.send(json.dumps({**HELLO, **fields}))
    async with asyncio.timeout(10):
        assert json.loads(await socket.recv()) == {
            "uid": "u1",
            "message": "SERVER_READY",
            "backend": "faster_whisper",
        }
    return socket


async def stream(socket: ClientConnection, audio: bytes, frame_bytes: int = 16_384) -> None:
    for offset in range(0, len(audio), frame_bytes):
        await socket.send(audio[offset : offset + frame_bytes])
        await asyncio.sleep(0.02)  # a live client, ten times as fast as speech


def completed(messages: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """The segments as a client collects them: each that is new, in order."""
    found: dict[tuple[str, str, str], None] = {}
    for message in messages:
        for one in message.get("segments", ()):
            if one["completed"]:
                found[one["start"], one["end"], one["text"]] = None
    return list(found)


async def test_segments_grow_become_complete_and_never_change(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_PARTIAL_INTERVAL_S="0.1")
    await launch_worker()
    socket = await ready(gateway.port, word_timestamps=True)
    reading = asyncio.create_task(events_until_closed(socket))
    await stream(socket, as_float32(speech(16)))
    await socket.send(END_OF_AUDIO)
    messages = await reading

    assert socket.close_code == 1000
    assert {message["uid"] for message in messages} == {"u1"}
    assert messages[-1] == {"uid": "u1", "message": "DISCONNECT"}
    assert [one for one in messages if "language" in one] == [{"uid": "u1", "language": "en", "language_prob": 1.0}]
    shown = [one["segments"] for one in messages if "segments" in one]
    assert all(shown)
    assert all(one["completed"] for segments in shown for one in segments[:-1])
    assert any(not segments[-1]["completed"] for segments in shown)
    assert all(one["completed"] and one["words"] for one in shown[-1])
    segments = completed(messages)
    assert len(segments) >= 2
    assert all(float(one[1]) <= float(other[0]) for one, other in zip(segments, segments[1:], strict=False))


async def test_the_other_path_and_samples_of_16_bits_give_the_same_text(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    texts = []
    for path, audio_format, audio in (
        ("/", "float32", as_float32(speech(8))),
        ("/whisperlive", "int16", speech(8)),
    ):
        socket = await ready(gateway.port, path, language="en", audio_format=audio_format)
        await socket.send(audio)
        await socket.send("END_OF_AUDIO")
        texts.append(completed(await events_until_closed(socket)))
    assert texts[0] == texts[1] != []


async def test_who_finds_no_worker_is_told_to_wait(launch_gateway: Launch) -> None:
    gateway = await launch_gateway()
    socket = await connect(f"ws://127.0.0.1:{gateway.port}/", compression=None)
    await socket.send(json.dumps(HELLO))
    assert await events_until_closed(socket) == [{"uid": "u1", "status": "WAIT", "message": 1.0}]
    assert socket.close_code == 1013


async def test_a_strange_handshake_is_an_error(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await became(gateway.port, 200)
    socket = await connect(f"ws://127.0.0.1:{gateway.port}/", compression=None)
    await socket.send(json.dumps({**HELLO, "language": "klingon"}))
    (message,) = await events_until_closed(socket)
    assert (message["uid"], message["status"]) == ("u1", "ERROR")
    assert message["message"].startswith("language")


async def test_a_drain_gives_a_session_its_text_and_closes_so_that_clients_connect_again(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_DRAIN_TIMEOUT_S="0.5")
    await launch_worker()
    socket = await ready(gateway.port, language="en")
    await socket.send(as_float32(speech(4)))
    await socket.ping()
    gateway.process.send_signal(signal.SIGTERM)
    messages = await events_until_closed(socket)
    assert completed(messages)
    assert [one.get("status") for one in messages if "status" in one] == ["WARNING"]
    assert socket.close_code == 1012
