from collections.abc import Callable
from typing import Any

import pytest

from bus.contract import advisories, chat_work, client_protocol, presence, records, session_record, work
from bus.contract.decoding import check_finite

JSON = {
    "an advisory of work given up": advisories.decode_given_up,
    "a record": records.decode_record,
    "a session record": session_record.decode_session_record,
    "a takeover": session_record.decode_takeover,
    "a server event": client_protocol.decode_event,
}
MSGPACK = {
    "an asr.request": work.decode_request,
    "an asr.result": work.decode_result,
    "an asr.cancel": work.decode_cancel,
    "a chat.request": chat_work.decode_chat_request,
    "a chat reply": chat_work.decode_chat_reply,
    "a chat.cancel": chat_work.decode_chat_cancel,
    "a worker.presence": presence.decode_presence,
}
DEEP = 50_000


@pytest.mark.parametrize(("what", "decode"), JSON.items(), ids=tuple(JSON))
@pytest.mark.parametrize("data", [b'{"x":' + b"[" * DEEP, b'{"x":"\xff"}', b'{"type":"\xff"}', b"\xff"])
def test_json_that_is_no_message_is_a_value_error(what: str, decode: Callable[[bytes], Any], data: bytes) -> None:
    with pytest.raises(ValueError, match=f"^not {what}: ") as caught:
        decode(data)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize(("what", "decode"), MSGPACK.items(), ids=tuple(MSGPACK))
@pytest.mark.parametrize("data", [b"\x81\xa1x" + b"\x91" * DEEP, b"\x81\xa4type\xa1\xff", b"\xc1"])
def test_msgpack_that_is_no_message_is_a_value_error(what: str, decode: Callable[[bytes], Any], data: bytes) -> None:
    with pytest.raises(ValueError, match=f"^not {what}: ") as caught:
        decode(data)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_cannot_hold_are_refused(number: float) -> None:
    check_finite([0.0, -1e308], "times")
    with pytest.raises(ValueError, match="times must be finite"):
        check_finite([0.0, number], "times")
