import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contract import client_protocol as protocol


def test_the_type_stands_in_the_message() -> None:
    text = protocol.encode_message(protocol.AudioEnd())
    assert text == '{"type":"audio.end"}'


def test_a_start_of_nothing_but_its_type_takes_all_defaults() -> None:
    start = msgspec.json.decode(b'{"type":"session.start"}', type=protocol.SessionStart)
    assert start == protocol.SessionStart()
    assert start.audio == protocol.AudioFormat(encoding="linear16", sample_rate=16_000, channels=1)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_an_event_comes_back_as_it_went(as_bytes: bool) -> None:
    event = protocol.AudioCommitted(seq=1, offset=16_000, time_s=1.0)
    text = protocol.encode_message(event)
    assert protocol.decode_event(text.encode() if as_bytes else text) == event


def test_an_event_type_of_a_newer_server_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not a server event"):
        protocol.decode_event('{"type":"chat.delta","seq":1}')


def test_a_field_of_a_newer_server_is_ignored() -> None:
    assert protocol.decode_event('{"type":"session.draining","seq":1,"within_s":2,"why":"?"}') == (
        protocol.SessionDraining(seq=1, within_s=2.0)
    )


@given(st.binary(max_size=100) | st.text(max_size=50).map(str.encode))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a server event"):
        protocol.decode_event(data)
