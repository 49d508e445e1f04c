from typing import Any

import msgspec

from stream_gateway.dialects.openai_report import session_report
from stream_gateway.dialects.openai_session import SessionPatch, Settings


def report(kind: str = "realtime", **session: Any) -> dict[str, Any]:
    settings = Settings(kind="realtime").merged(msgspec.convert({"type": kind, **session}, SessionPatch))
    return dict(session_report(settings, "sess_1"))


def test_a_conversation_is_told_in_full() -> None:
    assert report(instructions="be brief") == {
        "type": "realtime",
        "object": "realtime.session",
        "id": "sess_1",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": {"model": "whisper-1"},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "create_response": True,
                    "interrupt_response": True,
                },
            }
        },
        "model": "gpt-realtime",
        "output_modalities": ["text"],
        "instructions": "be brief",
        "max_output_tokens": "inf",
        "tools": [],
        "tool_choice": "none",
    }


def test_a_transcription_session_is_told_without_what_it_does_not_have() -> None:
    told = report("transcription", audio={"input": {"format": {"type": "audio/pcma"}, "turn_detection": None}})
    assert told == {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": "sess_1",
        "audio": {
            "input": {
                "format": {"type": "audio/pcma"},
                "transcription": {"model": "whisper-1"},
                "turn_detection": None,
            }
        },
    }


def test_what_the_client_named_is_told_back() -> None:
    said = {"model": "x", "language": "de", "prompt": "p", "keywords": ["k"], "languages": ["de"]}
    detection = {"type": "semantic_vad", "eagerness": "low"}
    told = report("transcription", audio={"input": {"transcription": said, "turn_detection": detection}})
    assert told["audio"]["input"]["transcription"] == said
    assert told["audio"]["input"]["turn_detection"] == detection


def test_transcription_that_nobody_wants_is_not_told() -> None:
    assert "transcription" not in report(audio={"input": {"transcription": None}})["audio"]["input"]
