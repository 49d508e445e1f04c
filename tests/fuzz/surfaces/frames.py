"""Text frames, handshakes and queries of every dialect, one at a time; `conversations` has whole sessions."""

import json
from typing import Any, cast
from urllib.parse import parse_qs

import msgspec

from bus.contract.client_protocol import Limits, SessionResume, SessionStart
from bus.contract.errors import ClientError, HarkenError
from stream_gateway.audio.formats import check_audio
from stream_gateway.dialects import deepgram, whisper_live
from stream_gateway.dialects.base import Audio, Handshake, Reply
from stream_gateway.dialects.deepgram_query import read_query
from stream_gateway.dialects.native import NativeDialect
from stream_gateway.dialects.whisper_live_messages import Hello, Ready, read_hello, spelled
from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.segmentation.segmenter import Segmenter, SegmenterOptions
from stream_gateway.session.config import check_start, endpoint_options, segmenter_options
from stream_gateway.session.resumption import check_resume
from tests.fuzz.mutation import json_mutator, mutated
from tests.fuzz.seeds import golden
from tests.fuzz.target import Target

LIMITS = Limits(max_frame_bytes=1_000_000, max_session_s=60.0, idle_timeout_s=120.0, max_buffered_audio_s=30.0)
_QUERIES = (
    b"encoding=linear16&sample_rate=16000&channels=2&multichannel=true&interim_results=true&endpointing=300",
    b"encoding=mulaw&sample_rate=8000&utterance_end_ms=1000&vad_events=true&smart_format=true&language=en-US",
    b"model=nova-3&keyterm=Harken&keyterm=NATS&keywords=word:2.5&keywords=other:-1&detect_language=true&endpointing=false",
    b"callback=&punctuate=1&tag=%F0%9F%98%80&extra=a%3Ab&encoding=&sample_rate=999999999",
)
_QUERY_TOKENS = (
    b"&",
    b"=",
    b"%",
    b"%00",
    b"%ff",
    b"+",
    b";",
    b":nan",
    b":1e999",
    b":-",
    b"true",
    b"0",
    b"-1",
    b"\xff",
    b"%0d%0a",
)
HELLOS = tuple(
    json.dumps(hello).encode()
    for hello in (
        {"uid": "c0ffee", "language": None, "task": "transcribe", "model": "small", "use_vad": 1}
        | {"send_last_n_segments": 10, "hotwords": "Harken, NATS", "word_timestamps": True, "initial_prompt": "before"},
        {
            "uid": 7,
            "language": "en",
            "task": "translate",
            "model": "tiny.en",
            "audio_format": "uint8",
            "hotwords": ["a"],
        },
    )
)
DEEPGRAM = (
    b'{"type":"KeepAlive"}',
    b'{"type":"Finalize","channel":[0]}',
    b'{"type":"CloseStream"}',
    b'{"type":"Configure","keyterms":["a"],"features":{}}',
)


def checked(start: SessionStart) -> None:
    """Everything that a session does with what its client asked for."""
    check_start(start)
    if start.audio is not None:
        check_audio(start.audio)
    Segmenter(segmenter_options(start.vad, SegmenterOptions()))
    endpoint_options(start.vad, EndpointOptions())
    msgspec.json.encode(start)


def _native(data: bytes) -> None:
    dialect = NativeDialect(Handshake(path="/v1/stream", limits=LIMITS))
    for action in dialect.on_text(data.decode(errors="replace")):
        if isinstance(action, SessionStart):
            checked(action)
        elif isinstance(action, SessionResume):
            check_resume(action)
            msgspec.msgpack.encode(action)  # whose whole numbers have 64 bits


def _deepgram_query(data: bytes) -> None:
    query = parse_qs(data.decode("ascii", errors="replace"), keep_blank_values=True)
    try:
        wishes = read_query(query)
    except ClientError as error:
        assert error.message.isascii() and error.message.isprintable(), "no header can hold this"
        raise
    assert wishes.bytes_per_s is None or wishes.bytes_per_s > 0
    checked(wishes.start)


def _deepgram_text(data: bytes) -> None:
    dialect = deepgram.DeepgramDialect(Handshake(path="/v1/listen", limits=LIMITS))
    dialect.on_open()
    for action in dialect.on_text(data.decode(errors="replace")):
        if isinstance(action, Reply):
            assert len(action.text) < 20_000, "an answer as long as what it answers"
            msgspec.json.decode(action.text)


def _whisper_hello(data: bytes) -> None:
    hello = read_hello(data.decode(errors="replace"))
    assert isinstance(hello, Hello)
    message = cast(dict[str, Any], msgspec.json.decode(spelled(Ready(uid=hello.uid))))
    assert message["uid"] == hello.uid, "clients look for their uid as it was"
    checked(hello.start)


def _whisper_binary(data: bytes) -> None:
    dialect = whisper_live.WhisperLiveDialect(Handshake(path="/", limits=LIMITS))
    dialect.on_text('{"uid":"a","audio_format":"uint8"}')
    for action in dialect.on_binary(data):
        assert not isinstance(action, Audio) or len(action.data) == 2 * len(data)


TARGETS = (
    Target("native.text", json_mutator(golden("client_")).make, _native, (HarkenError,)),
    Target("deepgram.query", mutated(_QUERIES, tokens=_QUERY_TOKENS), _deepgram_query, (HarkenError,)),
    Target("deepgram.text", json_mutator(DEEPGRAM).make, _deepgram_text),
    Target("whisper_live.hello", json_mutator(HELLOS).make, _whisper_hello, (HarkenError,)),
    Target("whisper_live.binary", mutated([b"END_OF_AUDIO", bytes(range(256)), b""]), _whisper_binary),
)
