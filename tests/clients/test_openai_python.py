"""The openai package for Python, unmodified; every event that it is sent is held to its own strict models."""

import asyncio
import base64
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_workers.engines.scripted import expected_answer
from tests.integration.conftest import Launch
from tests.integration.gateway_client import became
from tests.integration.openai_client import nulls, speech_24k

openai = pytest.importorskip("openai", reason="the openai package is not installed")
pydantic = pytest.importorskip("pydantic")

PATIENCE_S = 40.0
PINNED = Path(__file__).parents[1] / "contract" / "sessions" / "openai_realtime.txt"
TRANSCRIPTION = "conversation.item.input_audio_transcription"


@pytest.fixture
async def gateway(launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch) -> int:
    service = await launch_gateway()
    await launch_worker()
    await launch_llm_worker()
    await became(service.port, 200)
    return service.port


def judge_of_today() -> Callable[[Any], Any]:
    return judge(importlib.import_module("openai.types.realtime").RealtimeServerEvent)


def judge_of_the_beta() -> Callable[[Any], Any]:
    return judge(importlib.import_module("openai.types.beta.realtime.realtime_server_event").RealtimeServerEvent)


def judged_types(union: Any) -> dict[str, Any]:
    """The strict parser of each type of event."""
    adapters = {}
    for kind in union.__origin__.__args__ if hasattr(union, "__origin__") else union.__args__:
        adapters[kind.model_fields["type"].annotation.__args__[0]] = pydantic.TypeAdapter(kind)
    return adapters


def judge(union: Any) -> Callable[[Any], Any]:
    """Parses strictly, by the type that the event names, and lets no null pass that others choke on."""
    adapters = judged_types(union)

    def parse(event: Any) -> Any:
        raw = event.to_dict(mode="json")
        assert not nulls(raw), raw
        return adapters[event.type].validate_python(raw, strict=True)

    return parse


def encoded(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


async def test_a_transcription_session_from_turn_to_turn(gateway: int) -> None:
    parse = judge_of_today()
    client = openai.AsyncOpenAI(api_key="any", base_url=f"http://127.0.0.1:{gateway}/v1")
    seen = []
    async with asyncio.timeout(PATIENCE_S), client.realtime.connect(extra_query={"intent": "transcription"}) as wire:
        await wire.session.update(
            session={
                "type": "transcription",
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24_000},
                        "transcription": {"model": "gpt-4o-mini-transcribe", "language": "en"},
                        "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
                        "noise_reduction": {"type": "near_field"},
                    }
                },
            }
        )
        audio = speech_24k()
        for start in range(0, len(audio), 4_801):
            await wire.input_audio_buffer.append(audio=encoded(audio[start : start + 4_801]))
        async for event in wire:
            seen.append(parse(event))
            if event.type == f"{TRANSCRIPTION}.completed":
                break
        await wire.conversation.item.retrieve(item_id=event.item_id)
        retrieved = parse(await wire.recv())
    assert [event.type for event in seen][:3] == [
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
    ]
    assert seen[1].session.type == "transcription"
    assert retrieved.item.content[0].transcript == seen[-1].transcript
    assert seen[-1].usage.type == "duration"
    await client.close()


async def test_manual_turns_and_the_error_of_an_empty_commit(gateway: int) -> None:
    parse = judge_of_today()
    client = openai.AsyncOpenAI(
        api_key="any", websocket_base_url=f"ws://127.0.0.1:{gateway}/v1", base_url="http://x/v1"
    )
    async with asyncio.timeout(PATIENCE_S), client.realtime.connect(model="gpt-realtime-whisper") as wire:
        transcription = {"model": "gpt-realtime-whisper"}
        await wire.session.update(
            session={"type": "transcription", "audio": {"input": {"transcription": transcription}}}
        )
        await wire.input_audio_buffer.append(audio=encoded(speech_24k(3)))
        await wire.input_audio_buffer.commit()
        await wire.input_audio_buffer.commit(event_id="again")
        await wire.input_audio_buffer.clear()
        seen: dict[str, Any] = {}
        while not {"error", "input_audio_buffer.cleared", f"{TRANSCRIPTION}.completed"} <= seen.keys():
            event = parse(await wire.recv())
            seen[event.type] = event
    assert seen["session.updated"].session.audio.input.turn_detection is None
    assert (seen["error"].error.code, seen["error"].error.event_id) == ("input_audio_buffer_commit_empty", "again")
    assert "input_audio_buffer.speech_started" not in seen
    await client.close()


async def test_a_conversation_in_text(gateway: int) -> None:
    parse = judge_of_today()
    client = openai.AsyncOpenAI(api_key="any", base_url=f"http://127.0.0.1:{gateway}/v1")
    async with asyncio.timeout(PATIENCE_S), client.realtime.connect(model="gpt-realtime") as wire:
        await wire.session.update(
            session={"type": "realtime", "output_modalities": ["text"], "instructions": "be brief", "tools": []}
        )
        message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello there"}]}
        await wire.conversation.item.create(item=message)
        await wire.response.create(response={"metadata": {"for": "a test"}})
        text = ""
        async for event in wire:
            parsed = parse(event)
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type == "response.done":
                break
    assert text == expected_answer("hello there") == parsed.response.output[0].content[0].text
    assert parsed.response.metadata == {"for": "a test"}
    await client.close()


async def test_a_spoken_conversation_is_answered_and_a_cancel_is_heard(gateway: int) -> None:
    parse = judge_of_today()
    client = openai.AsyncOpenAI(api_key="any", base_url=f"http://127.0.0.1:{gateway}/v1")
    async with asyncio.timeout(PATIENCE_S), client.realtime.connect(model="gpt-realtime") as wire:
        await wire.input_audio_buffer.append(audio=encoded(speech_24k()))
        seen: list[Any] = []
        while not seen or seen[-1].type != "response.done":
            seen.append(parse(await wire.recv()))
        await wire.response.cancel()
        while seen[-1].type != "error":
            seen.append(parse(await wire.recv()))
    assert seen[-1].error.message.startswith("Cancellation failed")
    await client.close()


@pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")
async def test_the_client_without_async(gateway: int) -> None:
    parse = judge_of_today()

    def converse() -> Any:
        client = openai.OpenAI(api_key="any", base_url=f"http://127.0.0.1:{gateway}/v1")
        with client.realtime.connect(model="gpt-realtime") as wire:
            wire.session.update(session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
            wire.input_audio_buffer.append(audio=encoded(speech_24k(3)))
            wire.input_audio_buffer.commit()
            wire.response.create()
            for event in wire:
                parsed = parse(event)
                if event.type == "response.done":
                    break
        client.close()
        return parsed

    async with asyncio.timeout(PATIENCE_S):
        done = await asyncio.to_thread(converse)
    assert done.response.status == "completed"


async def test_the_client_of_the_beta(gateway: int) -> None:
    parse = judge_of_the_beta()
    client = openai.AsyncOpenAI(api_key="any", websocket_base_url=f"ws://127.0.0.1:{gateway}/v1")
    async with asyncio.timeout(PATIENCE_S), client.beta.realtime.connect(model="gpt-4o-realtime-preview") as wire:
        await wire.session.update(
            session={"modalities": ["text"], "input_audio_format": "pcm16", "turn_detection": None, "temperature": 0.8}
        )
        await wire.input_audio_buffer.append(audio=encoded(speech_24k(3)))
        await wire.input_audio_buffer.commit()
        await wire.response.create()
        kinds = []
        async for event in wire:
            parsed = parse(event)
            kinds.append(event.type)
            if event.type == "response.done":
                break
    assert {"conversation.item.created", "response.text.delta", f"{TRANSCRIPTION}.completed"} <= set(kinds)
    assert parsed.response.output[0].content[0].type == "text"
    await client.close()


def test_every_event_of_the_pinned_session_is_one_of_theirs() -> None:
    adapter = judged_types(importlib.import_module("openai.types.realtime").RealtimeServerEvent)
    told = [json.loads(line[2:]) for line in PINNED.read_text(encoding="utf-8").splitlines() if line[0] == "<"]
    for event in told:
        adapter[event["type"]].validate_python(event, strict=True)
    assert len(told) > 40
