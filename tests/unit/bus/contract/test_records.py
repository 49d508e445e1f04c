import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contract import records

finite = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(0, 2**31)
finals = st.builds(
    records.TranscriptFinal,
    version=integers,
    segment=integers,
    channel=integers,
    start_s=finite,
    end_s=finite,
    words=st.just(()),
)
failures = st.builds(
    records.SegmentFailed, version=integers, segment=integers, channel=integers, start_s=finite, end_s=finite
)


@given(finals | failures)
def test_a_record_comes_back_as_it_went(record: records.Record) -> None:
    assert records.decode_record(records.encode_record(record)) == record


@given(st.binary(max_size=100) | st.text(max_size=50).map(str.encode))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a record"):
        records.decode_record(data)


def test_a_reader_ignores_what_it_does_not_know() -> None:
    record = records.SegmentFailed(
        tenant="t", session="s", segment=1, start_s=0.0, end_s=1.0, code="decode_failed", message=""
    )
    later = {**msgspec.json.decode(records.encode_record(record)), "speaker": "A"}
    assert records.decode_record(msgspec.json.encode(later)) == record


def test_a_segments_record_has_one_id_whatever_was_retried() -> None:
    assert records.record_id("s1", 7) == "s1:7:final"


def test_a_turns_record_has_an_id_that_is_no_segments() -> None:
    assert records.turn_id("s1", 7) == "s1:7:turn"


def test_a_turn_comes_back_as_it_went() -> None:
    turn = records.ChatTurn(tenant="t", session="s", turn=1, role="user", text="hello", source="typed")
    assert records.decode_record(records.encode_record(turn)) == turn


def test_that_a_session_was_taken_over_is_stored_once_for_each_time() -> None:
    assert records.resumed_id("s1", 2) == "s1:2:resumed"
    resumed = records.SessionResumed(tenant="t1", session="s1", epoch=2)
    assert records.decode_record(records.encode_record(resumed)) == resumed
