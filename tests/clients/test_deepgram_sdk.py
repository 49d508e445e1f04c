"""deepgram-sdk for Python, unmodified: only its environment names our port."""

import asyncio
import threading
import warnings
from typing import Any

import pytest

from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, speech

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it imports itself
    deepgram = pytest.importorskip("deepgram")
    EventType = pytest.importorskip("deepgram.core.events").EventType

pytestmark = [pytest.mark.weights, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
QUERY = {
    "model": "nova-3",
    "encoding": "linear16",
    "sample_rate": "16000",
    "interim_results": "true",
    "punctuate": "true",
    "vad_events": "true",
    "utterance_end_ms": "1000",
}
FRAME_BYTES = 8_000
WITHIN_S = 30


def environment(port: int) -> Any:
    """Where the SDK finds us; `base` is for its HTTP calls, which are not used here."""
    http, ws = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    return deepgram.DeepgramClientEnvironment(base=http, production=ws, agent=ws, agent_rest=http)


def check(messages: list[Any]) -> str:
    """What any session must have shown: strict models of the SDK, and finals that tile the audio. Returns the text."""
    for message in messages:
        type(message).model_validate(message.model_dump())
    assert {message.type for message in messages} <= {"Results", "Metadata", "SpeechStarted", "UtteranceEnd"}
    finals = [message for message in messages if message.type == "Results" and message.is_final]
    reached_s = 0.0
    for final in finals:
        assert final.start == pytest.approx(reached_s, abs=1e-6)
        reached_s = final.start + final.duration
    assert messages[-1].type == "Metadata"
    assert reached_s == pytest.approx(messages[-1].duration, abs=1e-3)
    said = [final.channel.alternatives[0].transcript for final in finals]
    return " ".join(text for text in said if text)


async def heard_by_async_client(port: int, audio: bytes) -> list[Any]:
    client = deepgram.AsyncDeepgramClient(api_key="any", environment=environment(port))
    messages: list[Any] = []
    finalized = asyncio.Event()

    def on_message(message: Any) -> None:
        messages.append(message)
        if message.type == "Results" and message.from_finalize:
            finalized.set()

    async with client.listen.v1.connect(**QUERY) as connection:
        connection.on(EventType.MESSAGE, on_message)
        listening = asyncio.create_task(connection.start_listening())
        await connection.send_keep_alive()
        middle = len(audio) // 2
        for offset in range(0, middle, FRAME_BYTES):
            await connection.send_media(audio[offset : min(middle, offset + FRAME_BYTES)])
        await connection.send_finalize()
        async with asyncio.timeout(WITHIN_S):
            await finalized.wait()
        for offset in range(middle, len(audio), FRAME_BYTES):
            await connection.send_media(audio[offset : offset + FRAME_BYTES])
        await connection.send_close_stream()
        async with asyncio.timeout(WITHIN_S):
            await listening
    return messages


def heard_by_sync_client(port: int, audio: bytes) -> list[Any]:
    client = deepgram.DeepgramClient(api_key="any", environment=environment(port))
    messages: list[Any] = []
    with client.listen.v1.connect(**QUERY) as connection:
        connection.on(EventType.MESSAGE, messages.append)
        listening = threading.Thread(target=connection.start_listening)
        listening.start()
        for offset in range(0, len(audio), FRAME_BYTES):
            connection.send_media(audio[offset : offset + FRAME_BYTES])
        connection.send_close_stream()
        listening.join(WITHIN_S)
        assert not listening.is_alive()
    return messages


async def test_the_async_client_streams_finalizes_and_closes(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=any")
    await launch_worker()
    await became(gateway.port, 200)
    messages = await heard_by_async_client(gateway.port, speech(16))
    words = check(messages).split()
    assert len(words) == len(set(words)) > 20
    assert any(message.type == "SpeechStarted" for message in messages)


async def test_the_sync_client_streams_and_closes(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=any")
    await launch_worker()
    await became(gateway.port, 200)
    messages = await asyncio.to_thread(heard_by_sync_client, gateway.port, speech(16))
    assert len(check(messages).split()) > 20


async def test_a_wrong_key_is_refused_before_the_upgrade(launch_gateway: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=other")
    with pytest.raises(deepgram.core.api_error.ApiError) as refused:
        await heard_by_async_client(gateway.port, b"")
    assert refused.value.status_code == 401
