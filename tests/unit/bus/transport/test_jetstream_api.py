import json

import pytest

from bus.contract.errors import BusUnavailable, HarkenError, InternalError, Overloaded
from bus.transport.jetstream_api import (
    AssetMissing,
    EndOfBatch,
    StoredAck,
    StoredMessage,
    WrongLastSequence,
    parse_direct,
    parse_reply,
    parse_stored,
    whole,
)


def test_a_stored_message_has_its_sequence() -> None:
    assert parse_stored(b'{"stream":"TRANSCRIPTS","seq":7}') == StoredAck(seq=7, duplicate=False)
    assert parse_stored(b'{"stream":"TRANSCRIPTS","seq":7,"duplicate":true}') == StoredAck(seq=7, duplicate=True)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, 10077, Overloaded),
        (500, 10028, Overloaded),
        (500, 10047, Overloaded),
        (503, 10023, Overloaded),
        (503, 10008, BusUnavailable),
        (404, 10059, AssetMissing),
        (404, 10014, AssetMissing),
        (400, 10071, WrongLastSequence),
        (400, 10025, InternalError),
        (500, 10074, InternalError),
    ],
)
def test_each_refusal_becomes_the_error_that_says_what_to_do(status: int, code: int, kind: type[HarkenError]) -> None:
    reply = {"error": {"code": status, "err_code": code, "description": "why"}}
    with pytest.raises(kind, match=f"why .JetStream error {code}") as caught:
        parse_reply(json.dumps(reply).encode())
    assert type(caught.value) is kind


@pytest.mark.parametrize("data", [b"", b"not json", b"[]", b"\xff", b"[" * 100_000])
def test_anything_but_an_object_is_a_fault(data: bytes) -> None:
    with pytest.raises(InternalError):
        parse_reply(data)


def test_a_direct_get_gives_a_message_with_its_place_and_its_id() -> None:
    headers = {"Nats-Sequence": "7", "Nats-Msg-Id": "s1:1:final", "Harken-Epoch": "2"}
    assert parse_direct(headers, b"x") == StoredMessage(seq=7, msg_id="s1:1:final", epoch=2, data=b"x")
    assert parse_direct({"Nats-Sequence": "7"}, b"x") == StoredMessage(seq=7, msg_id="", epoch=0, data=b"x")


def test_a_direct_get_tells_that_there_is_nothing_or_nothing_more() -> None:
    assert parse_direct({"Status": "404", "Description": "Message Not Found"}, b"") is None
    assert parse_direct({"Status": "204", "Nats-Num-Pending": "3"}, b"") == EndOfBatch(pending=3)


def test_a_direct_get_that_is_refused_says_why() -> None:
    with pytest.raises(InternalError, match="Bad Request .408."):
        parse_direct({"Status": "408", "Description": "Bad Request"}, b"")
    with pytest.raises(AssetMissing):
        parse_direct({"Status": "503"}, b"")


@pytest.mark.parametrize("error", ['"why"', "[]", "{}", '{"code":[],"err_code":{}}', '{"err_code":"10077"}'])
def test_a_refusal_without_a_reason_is_a_fault(error: str) -> None:
    with pytest.raises(InternalError, match="JetStream refused the request"):
        parse_reply(f'{{"error":{error}}}'.encode())


@pytest.mark.parametrize("seq", ["null", '"7"', "[]", "-1", "7.5", "true"])
def test_a_message_that_is_stored_nowhere_is_a_fault(seq: str) -> None:
    with pytest.raises(InternalError, match="without seq"):
        parse_stored(f'{{"seq":{seq}}}'.encode())


def test_a_number_is_found_where_it_lies() -> None:
    assert whole({"delivered": {"stream_seq": 0}}, "delivered", "stream_seq") == 0
    with pytest.raises(InternalError, match=r"without delivered\.stream_seq"):
        whole({"delivered": 3}, "delivered", "stream_seq")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Status": ""},
        {"Status": "ok"},
        {"Status": "-1"},
        {"Status": "204"},
        {"Status": "204", "Nats-Num-Pending": "some"},
        {"Nats-Sequence": "9" * 5_000},
        {"Nats-Sequence": "²"},
        {"Nats-Sequence": "7", "Harken-Epoch": "first"},
        {"Status": "400", "Description": "Bad Request"},
    ],
)
def test_a_direct_reply_without_its_numbers_is_a_fault(headers: dict[str, str]) -> None:
    with pytest.raises(InternalError, match="JetStream (answered without|refused)"):
        parse_direct(headers, b"{}")
