"""Deepgram's protocol at a real gateway, spoken by hand."""

import asyncio
import hashlib
import json
import signal
from collections.abc import Sequence
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.conftest import Launch
from tests.integration.gateway_client import SAMPLE, became, events_until_closed, speech

pytestmark = pytest.mark.weights
RAW = "encoding=linear16&sample_rate=16000"
CLOSE_STREAM = json.dumps({"type": "CloseStream"})


async def listen(port: int, query: str = RAW) -> ClientConnection:
    await became(port, 200)
    return await connect(f"ws://127.0.0.1:{port}/v1/listen?{query}", compression=None)


async def stream(socket: ClientConnection, audio: bytes) -> None:
    """Frames of a quarter of a second, with time for others between them."""
    for offset in range(0, len(audio), 8_000):
        await socket.send(audio[offset : offset + 8_000])
        await asyncio.sleep(0)


async def until(socket: ClientConnection, **fields: object) -> list[dict[str, Any]]:
    """All messages up to the first that has these fields."""
    messages: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        while True:
            messages.append(json.loads(await socket.recv()))
            if fields.items() <= messages[-1].items():
                return messages


def finals(messages: Sequence[dict[str, Any]], channel: int = 0) -> list[dict[str, Any]]:
    results = [one for one in messages if one["type"] == "Results" and one["is_final"]]
    return [one for one in results if one["channel_index"][0] == channel]


def text(results: Sequence[dict[str, Any]]) -> str:
    said = [one["channel"]["alternatives"][0]["transcript"] for one in results]
    return " ".join(one for one in said if one)


def check_tiles(results: Sequence[dict[str, Any]], audio_s: float) -> None:
    """The finals of one channel cover its audio, once."""
    reached_s = 0.0
    for one in results:
        assert one["start"] == pytest.approx(reached_s, abs=1e-6)
        reached_s = one["start"] + one["duration"]
        for word in one["channel"]["alternatives"][0]["words"]:
            assert one["start"] <= word["start"] <= word["end"] <= reached_s + 1e-6
    assert reached_s == pytest.approx(audio_s, abs=0.001)


async def test_a_stream_shows_interims_and_finals_that_tile_the_audio_and_ends_with_metadata(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_PARTIAL_INTERVAL_S="0.1")
    await launch_worker()
    socket = await listen(gateway.port, f"{RAW}&interim_results=true&vad_events=true&language=en-US&model=nova-3")
    audio = speech(16)
    reading = asyncio.create_task(events_until_closed(socket))
    for offset in range(0, len(audio), 8_000):
        await socket.send(audio[offset : offset + 8_000])
        await asyncio.sleep(0.05)
    await socket.send(CLOSE_STREAM)
    messages = await reading

    assert socket.close_code == 1000
    assert messages[0]["type"] == "SpeechStarted"
    results = finals(messages)
    assert len(results) >= 2
    check_tiles(results, 16.0)
    assert all(one["speech_final"] for one in results if text([one]))
    interims = [one for one in messages if one["type"] == "Results" and not one["is_final"]]
    assert interims
    starts = {0.0, *(one["start"] + one["duration"] for one in results)}
    assert all(min(abs(one["start"] - start) for start in starts) < 1e-6 for one in interims)
    assert all(one["channel"]["alternatives"][0]["words"] for one in interims)
    last = messages[-1]
    assert (last["type"], last["duration"], last["channels"]) == ("Metadata", 16.0, 1)
    assert last["sha256"] == hashlib.sha256(audio).hexdigest()
    assert last["created"].endswith("Z") and not last["created"].startswith("1970")


async def test_finalize_is_always_answered_and_the_stream_goes_on(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    socket = await listen(gateway.port)
    await socket.send(json.dumps({"type": "Finalize"}))  # before any audio
    empty = (await until(socket, from_finalize=True))[-1]
    assert (empty["start"], empty["duration"], text([empty])) == (0.0, 0.0, "")
    audio = speech(8)
    await stream(socket, audio[: 4 * 32_000])
    await socket.send(json.dumps({"type": "Finalize"}))
    cut = await until(socket, from_finalize=True)
    assert text(cut)
    assert cut[-1]["is_final"]
    await stream(socket, audio[4 * 32_000 :])
    await socket.send(b"")  # the old form of CloseStream
    rest = await events_until_closed(socket)

    check_tiles([empty, *finals(cut), *finals(rest)], 8.0)
    words = f"{text(cut)} {text(finals(rest))}".split()
    assert len(words) == len(set(words))
    assert socket.close_code == 1000


async def test_channels_of_a_call_are_transcribed_apart(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    socket = await listen(gateway.port, f"{RAW}&channels=2&multichannel=true")
    mono = speech(8)
    left_only = b"".join(mono[at : at + 2] + b"\0\0" for at in range(0, len(mono), 2))
    await stream(socket, left_only)
    await socket.send(CLOSE_STREAM)
    messages = await events_until_closed(socket)

    assert {one["channel_index"][1] for one in messages if one["type"] == "Results"} == {2}
    assert text(finals(messages, 0))
    assert not text(finals(messages, 1))
    for channel in range(2):
        check_tiles(finals(messages, channel), 8.0)


async def test_an_utterance_end_is_told_after_a_second_without_words(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    socket = await listen(gateway.port, f"{RAW}&utterance_end_ms=1000&interim_results=true")
    await stream(socket, speech(7) + bytes(24_000))
    final = (await until(socket, is_final=True))[-1]
    for _ in range(12):  # the end is told where the audio says so, whatever the clock does
        await socket.send(bytes(8_000))
    end = (await until(socket, type="UtteranceEnd"))[-1]
    assert end == {
        "type": "UtteranceEnd",
        "channel": [0, 1],
        "last_word_end": final["channel"]["alternatives"][0]["words"][-1]["end"],
    }
    await socket.send(CLOSE_STREAM)
    assert not [one for one in await events_until_closed(socket) if one["type"] == "UtteranceEnd"]


async def test_a_file_without_an_encoding_is_read_as_what_it_is(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    socket = await listen(gateway.port, "punctuate=true")
    await stream(socket, SAMPLE.read_bytes())
    await socket.send(CLOSE_STREAM)
    messages = await events_until_closed(socket)
    assert text(finals(messages))
    check_tiles(finals(messages), messages[-1]["duration"])
    assert socket.close_code == 1000


async def test_an_idle_stream_gets_its_finals_before_it_is_closed(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_IDLE_TIMEOUT_S="1")
    await launch_worker()
    socket = await listen(gateway.port)
    await stream(socket, speech(4))
    messages = await events_until_closed(socket)
    assert text(finals(messages))
    assert messages[-1]["type"] == "Metadata"
    assert (socket.close_code, (socket.close_reason or "")[:8]) == (1011, "NET-0001")


async def test_what_is_no_audio_closes_with_1008(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    socket = await listen(gateway.port, "model=nova-3")
    await socket.send(b"this is no audio file at all, whatever one makes of it " * 100)
    messages = await events_until_closed(socket)
    assert messages[0]["type"] == "Error"
    assert (socket.close_code, (socket.close_reason or "")[:9]) == (1008, "DATA-0000")


@pytest.mark.parametrize("query", ["callback=http://example.org", f"{RAW}&channels=8", "encoding=amr-wb"])
async def test_what_cannot_be_is_refused_by_name(launch_gateway: Launch, launch_worker: Launch, query: str) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    with pytest.raises(InvalidStatus) as refused:
        await listen(gateway.port, query)
    assert refused.value.response.status_code == 400
    body = json.loads(refused.value.response.body)
    assert body["err_msg"].startswith(("callback", "channels", "encoding"))


async def test_a_language_that_nobody_knows_is_refused_by_name(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    socket = await listen(gateway.port, f"{RAW}&language=klingon")
    (error,) = await events_until_closed(socket)
    assert (error["type"], error["description"].split()[0]) == ("Error", "language")
    assert socket.close_code == 1008


async def test_control_messages_keep_a_stream_open_and_strange_ones_do_not_end_it(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_IDLE_TIMEOUT_S="1")
    await launch_worker()
    socket = await listen(gateway.port)
    for _ in range(8):
        await socket.send(json.dumps({"type": "KeepAlive"}))
        await asyncio.sleep(0.25)  # the pace of a client that keeps its stream open
    await socket.send("what is this")
    error = (await until(socket, type="Error"))[-1]
    assert (error["variant"], error["message"]) == ("SchemaError", "what is this")
    await socket.send(json.dumps({"type": "Configure", "keyterms": ["x"]}))
    success = (await until(socket, type="ConfigureSuccess"))[-1]
    assert socket.response is not None and success["keyterms"] == ["x"]
    assert success["request_id"] == socket.response.headers["dg-request-id"], (
        "the upgrade and the session have one name"
    )
    await socket.send(CLOSE_STREAM)
    (metadata,) = await events_until_closed(socket)
    assert (metadata["type"], metadata["duration"]) == ("Metadata", 0.0)
    assert socket.close_code == 1000


async def test_a_stream_without_a_worker_is_told_to_come_again(launch_gateway: Launch) -> None:
    gateway = await launch_gateway()
    socket = await connect(f"ws://127.0.0.1:{gateway.port}/v1/listen?{RAW}", compression=None)
    with pytest.raises(ConnectionClosed):
        while True:
            await socket.recv()
    assert socket.close_code == 1013


async def test_a_worker_that_dies_is_seen_as_a_pause(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway()
    doomed = await launch_worker()
    socket = await listen(gateway.port, f"{RAW}&keyterm=scripted:sleep=1")
    await stream(socket, speech(7) + bytes(32_000))
    await doomed.stop(signal.SIGKILL)
    await launch_worker()
    await socket.send(CLOSE_STREAM)
    messages = await events_until_closed(socket)
    assert {one["type"] for one in messages} == {"Results", "Metadata"}
    assert text(finals(messages))
    check_tiles(finals(messages), 8.0)
    assert socket.close_code == 1000


async def test_a_drain_gives_a_stream_its_finals_and_closes_so_that_clients_connect_again(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_DRAIN_TIMEOUT_S="0.5")
    await launch_worker()
    socket = await listen(gateway.port, f"{RAW}&vad_events=true")
    await stream(socket, speech(4))
    await until(socket, type="SpeechStarted")
    gateway.process.send_signal(signal.SIGTERM)
    messages = await events_until_closed(socket)
    assert text(finals(messages))
    assert messages[-1]["type"] == "Metadata"
    assert socket.close_code == 1012
