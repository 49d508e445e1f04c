"""Whole sessions: messages of a client, answers of workers, outages, slow readers and time, in any order."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from urllib.parse import parse_qs

import msgspec

from bus.contract.errors import ClientError
from stream_gateway.dialects import deepgram, whisper_live
from stream_gateway.dialects.base import Dialect, Handshake
from stream_gateway.dialects.native import NativeDialect
from stream_gateway.dialects.openai_realtime import OpenAiDialect
from tests.fuzz.conversation import Conversation
from tests.fuzz.judges import DeepgramJudge, Judge, NativeJudge, OpenAiJudge, WhisperLiveJudge
from tests.fuzz.mutation import MessageMutator, json_mutator, msgpack_mutator
from tests.fuzz.seeds import golden, recorded
from tests.fuzz.surfaces.frames import DEEPGRAM, HELLOS, LIMITS
from tests.fuzz.target import Target
from tests.openai_models import strict_parsers

_MAX_STEPS = 24
_SIXTEEN_KHZ_BYTES_PER_S = 32_000
_RESULTS = msgpack_mutator(golden("asr_result", "chat_taken", "chat_delta", "chat_done", "chat_failed"))
_OPENAI = tuple(
    json.dumps(event).encode()
    for event in (
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(9600)).decode(), "event_id": "e1"},
        {"type": "input_audio_buffer.commit", "event_id": "e2"},
        {"type": "input_audio_buffer.clear"},
        {"type": "output_audio_buffer.clear"},
        {"type": "session.update", "session": {"type": "transcription", "audio": {"input": {
            "format": {"type": "audio/pcmu"}, "transcription": {"model": "whisper-1", "language": "en", "prompt": "p",
            "keywords": ["a"], "languages": ["de"]}, "turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}}},
        {"type": "session.update", "session": {"type": "realtime", "max_output_tokens": 64, "audio": {"input": {
            "format": {"type": "audio/pcm", "rate": 16000}, "turn_detection": {"type": "server_vad", "threshold": 0.6,
            "prefix_padding_ms": 200, "silence_duration_ms": 300, "create_response": True}}}}},
        {"type": "session.update", "session": {"audio": {"input": {"turn_detection": None}}}},
        {"type": "transcription_session.update", "session": {"input_audio_format": "g711_alaw",
            "input_audio_transcription": {"model": "whisper-1"}, "turn_detection": None}},
        {"type": "session.update", "session": {"input_audio_format": "pcm16", "instructions": "x",
            "max_response_output_tokens": "inf", "turn_detection": {"type": "server_vad"}}},
        {"type": "conversation.item.create", "previous_item_id": "root", "item": {"id": "i1", "type": "message",
            "role": "user", "content": [{"type": "input_text", "text": "hello"}]}},
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [
            {"type": "input_audio", "audio": base64.b64encode(bytes(4800)).decode(), "transcript": None}]}},
        {"type": "conversation.item.create", "previous_item_id": "i1", "item": {"type": "message", "role": "system",
            "content": [{"type": "text", "text": "be brief"}]}},
        {"type": "conversation.item.retrieve", "item_id": "i1"},
        {"type": "conversation.item.delete", "item_id": "i1"},
        {"type": "conversation.item.truncate", "item_id": "i1", "content_index": 0, "audio_end_ms": 100},
        {"type": "response.create", "response": {"metadata": {"a": "b"}, "conversation": "none", "instructions": "x",
            "max_output_tokens": 20, "input": [{"type": "item_reference", "id": "i1"}, {"type": "message", "role":
            "user", "content": [{"type": "input_text", "text": "hi"}]}]}},
        {"type": "response.create"},
        {"type": "response.cancel", "response_id": "resp_0000002"},
    )
)  # fmt: skip
_UTTERANCE = (
    ["hear", 40, True],
    ["answer", "hello there"],
    ["hear", 20, True],
    ["answer", "hello there you"],
    ["hear", 30, False],
    ["publish", True],
    ["answer", "Hello there, you."],
    ["store", True],
)
_ANSWER = (
    ["text", '{"type":"chat.send","text":"hi"}'],
    ["text", '{"type":"response.create"}'],
    ["publish", True],
    ["reply", "taken", 0, ""],
    ["reply", "delta", 0, "so "],
    ["store", True],
    ["reply", "delta", 0, "it is"],
    ["reply", "done", 0, ""],
)
_NATIVE_START = b'{"type":"session.start","chat":{},"vad":{"endpoint_s":0.3}}'


def _steps(random: Random, opening: Sequence[str], messages: MessageMutator, ends: Sequence[str]) -> bytes:
    """Steps that most often make sense, and some scenes of several: people speak, workers answer, stores succeed."""
    steps: list[object] = [["text", text] for text in opening]
    size = random.randrange(_MAX_STEPS)
    while len(steps) < size:
        scene = random.choice((_UTTERANCE, _ANSWER)) if random.random() < 0.15 else ()
        steps += scene or [_step(random, messages, ends)]
    return b"\n".join(map(msgspec.json.encode, steps))


def _step(random: Random, messages: MessageMutator, ends: Sequence[str]) -> object:
    kind = random.random()
    if kind < 0.3:
        return ["text", messages.make(random).decode(errors="replace")]
    if kind < 0.5:
        return ["hear", random.choice((1, 20, 40, 90)), random.random() < 0.6]
    if kind < 0.6:
        return ["answer", random.choice(("hello there", "hello there you", "", None, "a " * 50))]
    if kind < 0.7:
        return [random.choice(("store", "publish", "store")), random.random() < 0.8]
    if kind < 0.78:
        reply = random.choice(("taken", "delta", "delta", "done", "done", "failed"))
        return ["reply", reply, random.choice((0, 0, 0, 1, 2**62)), random.choice(("word ", "busy", "leaving", ""))]
    if kind < 0.84:
        return ["read", random.choice((0, 1, 200))]
    if kind < 0.9:
        return ["time", random.choice((0, 0.3, 5, 61, 700))]
    if kind < 0.93:
        return ["garbage", base64.b64encode(_RESULTS.make(random)).decode()]
    if kind < 0.97:
        return [random.choice(("bus", "workers", "llm")), random.random() < 0.5]
    return random.choice(
        (["drain"], ["gone"], ["lost"], ["taken over"], ["text", random.choice(ends)], ["bytes", random.choice(ends)])
    )


def _play(data: bytes, dialect: Dialect, judge: Judge, audio: Callable[[float], str | bytes]) -> None:
    conversation = Conversation(dialect, judge=judge, audio=audio)
    conversation.open()
    for line in data.split(b"\n"):
        conversation.take(line)
    conversation.end()


def _silence(seconds: float) -> bytes:
    return bytes(int(seconds * _SIXTEEN_KHZ_BYTES_PER_S))


def _appended(seconds: float) -> str:
    audio = base64.b64encode(_silence(seconds)).decode()
    return f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}'


def _native_made(random: Random) -> bytes:
    start = _NATIVE_START if random.random() < 0.7 else _STARTS.make(random)
    return _steps(random, [start.decode(errors="replace")], _NATIVE, ['{"type":"audio.end"}'])


def _native(data: bytes) -> None:
    _play(data, NativeDialect(Handshake(path="/v1/stream", limits=LIMITS)), NativeJudge(), _silence)


def _openai(query: Mapping[str, Sequence[str]], headers: Mapping[str, str], data: bytes) -> None:
    handshake = Handshake(path="/v1/realtime", query=query, headers=headers, limits=LIMITS)
    _play(data, OpenAiDialect(handshake, nonce="0"), OpenAiJudge(is_beta=bool(headers)), _appended)


def _deepgram(data: bytes) -> None:
    """The first line is the query."""
    query, _, steps = data.partition(b"\n")
    fields = parse_qs(query.decode(errors="replace"), keep_blank_values=True)
    dialect = deepgram.DeepgramDialect(Handshake(path="/v1/listen", query=fields, limits=LIMITS))
    _play(steps, dialect, DeepgramJudge(), _silence)


def _deepgram_made(random: Random) -> bytes:
    flags = ("interim_results=true", "punctuate=true", "vad_events=true", "utterance_end_ms=1000", "endpointing=false",
             "channels=2", "multichannel=true", "language=multi")  # fmt: skip
    query = "&".join(["encoding=linear16", *(flag for flag in flags if random.random() < 0.4)])
    return query.encode() + b"\n" + _steps(random, [], _DEEPGRAM_MESSAGES, ['{"type":"CloseStream"}', ""])


def _whisper_live(data: bytes) -> None:
    _play(data, whisper_live.WhisperLiveDialect(Handshake(path="/", limits=LIMITS)), WhisperLiveJudge(), _silence)


def _whisper_made(random: Random) -> bytes:
    hello = random.choice(HELLOS) if random.random() < 0.8 else _HELLOS.make(random)
    return _steps(random, [hello.decode(errors="replace")], _HELLOS, ["END_OF_AUDIO"])


_NATIVE = json_mutator(golden("client_audio", "client_chat"))
_STARTS = json_mutator(golden("client_session_start"))
_OPENAI_MESSAGES = json_mutator((*_OPENAI, *recorded("openai_realtime.txt", sent_by=">")))
_DEEPGRAM_MESSAGES = json_mutator(DEEPGRAM)
_HELLOS = json_mutator(HELLOS)


def _openai_target(name: str, query: Mapping[str, Sequence[str]], headers: Mapping[str, str]) -> Target:
    return Target(
        f"conversation.openai.{name}",
        lambda random: _steps(random, [], _OPENAI_MESSAGES, ["{}"]),
        lambda data: _openai(query, headers, data),
        share=0.1,
        prepare=strict_parsers,
    )


TARGETS = (
    Target("conversation.native", _native_made, _native, share=0.1),
    _openai_target("realtime", {"model": ["gpt-realtime"]}, {}),
    _openai_target("transcription", {"intent": ["transcription"]}, {}),
    _openai_target("beta", {"model": ["m"]}, {"openai-beta": "realtime=v1"}),
    Target("conversation.deepgram", _deepgram_made, _deepgram, (ClientError,), share=0.1),
    Target("conversation.whisper_live", _whisper_made, _whisper_live, share=0.1),
)
