from typing import Any

import pytest

from bus.contract.client_protocol import SessionStart
from stream_gateway.dialects.openai_beta import is_beta
from stream_gateway.session.events import ChatDelta, SpeechEnded, SpeechStarted
from tests.unit.stream_gateway.dialects.openai_desk import Desk, chat_done, kinds

BETA = {"openai-beta": "realtime=v1"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        (BETA, True),
        ({"sec-websocket-protocol": "realtime, openai-insecure-api-key.x, openai-beta.realtime-v1"}, True),
        ({"sec-websocket-protocol": "realtime"}, False),
    ],
)
def test_who_asks_for_the_beta_gets_it(headers: dict[str, str], expected: bool) -> None:
    assert is_beta(headers) is expected


def updated(desk: Desk, kind: str = "session.update", **session: Any) -> dict[str, Any]:
    (told,) = desk.send(kind, session=session)
    return told


def test_a_session_is_flat() -> None:
    desk = Desk("model=gpt-4o-realtime-preview", headers=BETA)
    told = updated(
        desk,
        input_audio_format="g711_ulaw",
        input_audio_transcription=None,
        turn_detection=None,
        instructions="be brief",
        max_response_output_tokens=7,
        modalities=["text", "audio"],
    )
    assert told["type"] == "session.updated"
    assert told["session"] == {
        "id": told["session"]["id"],
        "object": "realtime.session",
        "modalities": ["text"],
        "input_audio_format": "g711_ulaw",
        "turn_detection": None,
        "model": "gpt-4o-realtime-preview",
        "instructions": "be brief",
        "max_response_output_tokens": 7,
        "tools": [],
        "tool_choice": "none",
    }
    assert updated(desk, input_audio_format=None)["session"]["input_audio_format"] == "pcm16"
    assert updated(desk)["session"]["turn_detection"] is None


def test_a_transcription_session_has_events_of_its_own() -> None:
    desk = Desk("intent=transcription", headers=BETA)
    assert kinds(desk.told) == ["transcription_session.created"]
    said = {"model": "whisper-1", "language": "de"}
    told = updated(desk, "transcription_session.update", input_audio_transcription=said)
    assert told["type"] == "transcription_session.updated"
    assert told["session"]["input_audio_transcription"] == said
    assert "instructions" not in told["session"]
    desk.append()
    (start,) = desk.asked(SessionStart)
    assert (start.language, start.chat) == ("de", None)


def test_items_and_texts_have_the_names_of_then() -> None:
    desk = Desk(headers=BETA)
    desk.append()
    told = desk.happen(SpeechStarted(1, 0, 1.0), SpeechEnded(1, 0, 3.0))
    assert kinds(told)[2:] == ["input_audio_buffer.committed", "conversation.item.created"]
    desk.answer_begins()
    told = desk.happen(ChatDelta(1, "hi"), chat_done(1, "hi"))
    assert kinds(told) == [
        "response.text.delta",
        "response.text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    response = told[-1]["response"]
    assert response["modalities"] == ["text"] and "output_modalities" not in response
    assert response["output"][0]["content"] == [{"type": "text", "text": "hi"}]
