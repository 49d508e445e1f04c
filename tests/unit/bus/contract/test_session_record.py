import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contract.chat_work import ChatMessage
from bus.contract.client_protocol import AudioFormat, ChatOptions, SessionStart
from bus.contract.session_record import (
    SessionRecord,
    Takeover,
    decode_session_record,
    decode_takeover,
    encode_session,
)


def test_a_session_record_comes_back_as_it_went() -> None:
    record = SessionRecord(
        epoch=2,
        gateway="g1",
        token_sha256="00",
        expires_at=1_700_000_000.5,
        start=SessionStart(audio=AudioFormat(sample_rate=44_100), chat=ChatOptions(model="m")),
        chat=ChatOptions(auto=False),
        messages=(ChatMessage("user", "hi"),),
        turns=3,
        answers=1,
    )
    assert decode_session_record(encode_session(record)) == record


def test_a_takeover_comes_back_as_it_went() -> None:
    assert decode_takeover(encode_session(Takeover(session="s1", epoch=2))) == Takeover(session="s1", epoch=2)


@given(st.binary(max_size=100) | st.text(max_size=50).map(str.encode))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a session record"):
        decode_session_record(data)
    with pytest.raises(ValueError, match="not a takeover"):
        decode_takeover(data)
