import json

import msgspec
import pytest

from stream_gateway.dialects import openai_wire as wire
from stream_gateway.dialects.openai_session import SessionPatch


def test_an_event_is_read_with_its_id_and_unknown_fields_are_ignored() -> None:
    message = wire.read_event('{"type": "input_audio_buffer.append", "event_id": "e1", "audio": "AAE=", "new": 1}')
    assert isinstance(message.event, wire.Append)
    assert (message.audio, message.event.id) == (b"\0\1", "e1")


def test_an_id_that_is_no_text_is_none() -> None:
    assert wire.read_event('{"type": "response.create", "event_id": 7, "response": null}').event.id is None
    assert wire.read_id('{"type": "x", "event_id": 7}') is None
    assert wire.read_id("garbage") is None


@pytest.mark.parametrize("text", ["", "garbage", "[]", "{}", '{"type": 1}', "[" * 100_000])
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(wire.Refusal) as caught:
        wire.read_event(text)
    assert caught.value.code == "invalid_json"


def test_an_unknown_type_is_refused_with_the_known_ones_and_not_echoed() -> None:
    with pytest.raises(wire.Refusal) as caught:
        wire.read_event('{"type": "secret"}')
    assert caught.value.param == "type"
    assert "response.create" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"type": "input_audio_buffer.append", "audio": "***"}, "audio"),
        ({"type": "conversation.item.create", "item": {"content": [{"type": 1}]}}, "item.content[0].type"),
        ({"type": "conversation.item.delete"}, None),
    ],
)
def test_a_wrong_field_is_named(fields: object, param: str | None) -> None:
    with pytest.raises(wire.Refusal) as caught:
        wire.read_event(json.dumps(fields))
    assert (caught.value.code, caught.value.param) == ("invalid_value", param)
    assert "`$" not in caught.value.message


def test_a_wrong_field_of_a_part_is_named_from_the_top() -> None:
    with pytest.raises(wire.Refusal) as caught:
        wire.read_part(msgspec.Raw(b'{"type": "podcast"}'), SessionPatch, within="session")
    assert caught.value.param == "session.type"


def test_a_refusal_is_spelled_without_what_is_not_known() -> None:
    event = wire.Refusal("no", code="c").event(None)
    assert event == {"type": "error", "error": {"type": "invalid_request_error", "code": "c", "message": "no"}}
    assert wire.Refusal("no", param="p").event("e")["error"] == {
        "type": "invalid_request_error",
        "code": "invalid_value",
        "message": "no",
        "param": "p",
        "event_id": "e",
    }


def test_names_of_any_length_are_neither_kept_nor_told_back() -> None:
    name = "x" * 513
    assert wire.read_event(json.dumps({"type": "response.cancel", "event_id": name})).event.id is None
    assert wire.read_id(json.dumps({"type": "x", "event_id": name})) is None
    for fields in (
        {"type": "conversation.item.delete", "item_id": name},
        {"type": "conversation.item.create", "item": {"id": name}},
        {"type": "response.cancel", "response_id": name},
    ):
        with pytest.raises(wire.Refusal):
            wire.read_event(json.dumps(fields))


def test_only_events_with_audio_may_be_long() -> None:
    with pytest.raises(wire.Refusal, match="1048576 characters") as caught:
        wire.read_event(json.dumps({"type": "response.create", "response": {"instructions": "x" * 1_048_576}}))
    assert caught.value.code == "string_too_long"
    message = wire.read_event(json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA" * 300_000}))
    assert message.audio == bytes(900_000)


def heard_in(*parts: object, role: str = "user") -> bytes | None:
    item = {"type": "message", "role": role, "content": list(parts)}
    return wire.read_event(json.dumps({"type": "conversation.item.create", "item": item})).audio


def test_what_is_to_be_heard_in_an_item_is_that_of_its_audio_parts() -> None:
    spoken = {"type": "input_audio", "audio": "AAE="}
    assert heard_in({"type": "input_text", "text": "x"}, spoken, {"type": "input_audio", "audio": None}) == b"\0\1"
    assert heard_in(spoken, spoken) == b"\0\1\0\1"
    assert heard_in({"type": "input_audio", "audio": ""}, {"type": "input_audio"}) is None
    assert heard_in({"type": "input_text", "text": "x", "audio": "AAAA"}) is None
    with pytest.raises(wire.Refusal) as caught:
        heard_in(spoken, {"type": "input_audio", "audio": 7})
    assert (caught.value.message, caught.value.param) == ("Expected `str`", "item.content[1].audio")
