"""The bytes of every message, pinned: a change here breaks processes, clients or apps that run already.

The files are written by hand when a message is new, and never by a test.
"""

from pathlib import Path

import msgspec
import pytest

from bus.contract import chat_work, presence, records, session_record, work
from bus.contract import client_protocol as client
from tests.contract import chat_messages, messages

GOLDEN = Path(__file__).parent / "golden"
EARLIER = Path(__file__).parent / "golden_earlier"
"""Files as they were before a message got another optional field."""


@pytest.mark.parametrize("name", messages.WORK)
def test_work_messages_never_change_on_the_wire(name: str) -> None:
    message, golden = messages.WORK[name], _golden(name)
    assert work.encode(message) == golden
    decoders = {
        work.AsrRequest: work.decode_request,
        work.AsrResult: work.decode_result,
        work.AsrCancel: work.decode_cancel,
        work.AsrTaken: work.decode_taken,
    }
    assert decoders[type(message)](golden) == message


@pytest.mark.parametrize("name", chat_messages.CHAT)
def test_messages_about_answers_never_change_on_the_wire(name: str) -> None:
    message, golden = chat_messages.CHAT[name], _golden(name)
    assert chat_work.encode_chat(message) == golden
    match message:
        case chat_work.ChatRequest():
            assert chat_work.decode_chat_request(golden) == message
        case chat_work.ChatCancel():
            assert chat_work.decode_chat_cancel(golden) == message
        case _:
            assert chat_work.decode_chat_reply(golden) == message


@pytest.mark.parametrize("path", sorted(EARLIER.iterdir()), ids=lambda path: path.name)
def test_what_an_earlier_release_sends_is_read_with_the_new_fields_at_their_defaults(path: Path) -> None:
    message = _every_message()[path.name]
    decode = msgspec.json.decode if path.suffix == ".json" else msgspec.msgpack.decode
    earlier = decode(path.read_bytes(), type=type(message))
    for field in msgspec.structs.fields(message):
        value = getattr(earlier, field.name)
        assert value in (getattr(message, field.name), field.default), field.name


@pytest.mark.parametrize("name", messages.PRESENCE)
def test_heartbeats_never_change_on_the_wire(name: str) -> None:
    assert presence.encode_presence(messages.PRESENCE[name]) == _golden(name)
    assert presence.decode_presence(_golden(name)) == messages.PRESENCE[name]


@pytest.mark.parametrize("name", messages.RECORDS)
def test_stored_records_never_change_on_the_wire(name: str) -> None:
    assert records.encode_record(messages.RECORDS[name]) == _golden(name)
    assert records.decode_record(_golden(name)) == messages.RECORDS[name]


@pytest.mark.parametrize("name", messages.SESSION)
def test_what_gateways_tell_one_another_of_a_session_never_changes_on_the_wire(name: str) -> None:
    message, golden = messages.SESSION[name], _golden(name)
    assert session_record.encode_session(message) == golden
    if isinstance(message, session_record.SessionRecord):
        assert session_record.decode_session_record(golden) == message
    else:
        assert session_record.decode_takeover(golden) == message


@pytest.mark.parametrize("name", messages.EVENTS)
def test_server_events_never_change_on_the_wire(name: str) -> None:
    assert client.encode_message(messages.EVENTS[name]).encode() == _golden(name)
    assert client.decode_event(_golden(name)) == messages.EVENTS[name]


@pytest.mark.parametrize("name", messages.CLIENT)
def test_client_messages_never_change_on_the_wire(name: str) -> None:
    message = messages.CLIENT[name]
    assert client.encode_message(message).encode() == _golden(name)
    assert msgspec.json.decode(_golden(name), type=type(message)) == message


def test_every_message_has_a_golden_file_and_every_file_a_message() -> None:
    sets = (
        messages.WORK,
        messages.PRESENCE,
        messages.RECORDS,
        messages.SESSION,
        messages.EVENTS,
        messages.CLIENT,
        chat_messages.CHAT,
    )
    covered = {type(message) for group in sets for message in group.values()}
    unions = (records.Record, client.ServerEvent, client.ClientMessage, chat_work.ChatReply)
    every = {
        work.AsrRequest,
        work.AsrResult,
        work.AsrCancel,
        work.AsrTaken,
        chat_work.ChatRequest,
        chat_work.ChatCancel,
        presence.WorkerPresence,
        session_record.SessionRecord,
        session_record.Takeover,
        *(kind for union in unions for kind in union.__args__),
    }
    assert covered == every
    assert {path.name for path in GOLDEN.iterdir()} == {name for group in sets for name in group}


def test_every_field_of_a_golden_message_differs_from_its_default() -> None:
    """A field at its default could be renamed unnoticed where defaults are left out."""
    for message in (
        *messages.WORK.values(),
        *messages.RECORDS.values(),
        *messages.SESSION.values(),
        *messages.CLIENT.values(),
        *chat_messages.CHAT.values(),
    ):
        for field in msgspec.structs.fields(message):
            if field.default is not msgspec.NODEFAULT and field.name not in ("version", "task"):
                assert getattr(message, field.name) != field.default, f"{type(message).__name__}.{field.name}"


def _every_message() -> dict[str, msgspec.Struct]:
    return {
        **messages.WORK,
        **messages.PRESENCE,
        **messages.RECORDS,
        **messages.SESSION,
        **messages.EVENTS,
        **messages.CLIENT,
        **chat_messages.CHAT,
    }


def _golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()
