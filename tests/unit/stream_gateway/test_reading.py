import asyncio
import base64
import json
import threading

import pytest

from bus.contract.client_protocol import AudioEnd, Limits, SessionStart
from stream_gateway import reading
from stream_gateway.dialects import openai_wire
from stream_gateway.dialects.base import Audio, Handshake, Reply
from stream_gateway.dialects.native import NativeDialect
from stream_gateway.dialects.openai_realtime import OpenAiDialect
from stream_gateway.reading import actions_of

PATIENCE_S = 20.0
LIMITS = Limits(max_frame_bytes=1_000_000, max_session_s=60.0, idle_timeout_s=10.0, max_buffered_audio_s=30.0)
AUDIO = bytes(range(256)) * 1_200


def appended(audio: bytes) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()})


def openai() -> OpenAiDialect:
    return OpenAiDialect(Handshake(path="/v1/realtime", limits=LIMITS), nonce="0")


async def test_the_loop_goes_on_while_a_long_frame_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    went_on = threading.Event()
    read_event = openai_wire.read_event

    def read_once_the_loop_went_on(text: str) -> openai_wire.Message:
        assert went_on.wait(PATIENCE_S), "the loop stands still"
        return read_event(text)

    monkeypatch.setattr(openai_wire, "read_event", read_once_the_loop_went_on)
    asyncio.get_running_loop().call_soon(went_on.set)
    start, *_, audio = await actions_of(openai(), appended(AUDIO))
    assert isinstance(start, SessionStart)
    assert audio == Audio(AUDIO)


async def test_a_long_frame_that_is_wrong_is_answered_like_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = appended(AUDIO)[:-2] + '*"}'
    (long,) = await actions_of(openai(), wrong)
    monkeypatch.setattr(reading, "_SHORT_CHARS", len(wrong))
    (short,) = await actions_of(openai(), wrong)
    assert isinstance(long, Reply) and isinstance(short, Reply)
    assert long.text == short.text
    assert json.loads(long.text)["error"]["param"] == "audio"


async def test_short_frames_are_read_at_once() -> None:
    dialect = NativeDialect(Handshake(path="/v1/stream", limits=LIMITS))
    assert await actions_of(dialect, '{"type":"audio.end"}') == (AudioEnd(),)
    assert await actions_of(dialect, b"\0\0") == (Audio(b"\0\0"),)
    assert await actions_of(openai(), appended(b"")) == []
