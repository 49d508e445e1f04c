import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_workers.engines.event_stream import EventStream, EventTooLong

LINES = st.lists(
    st.sampled_from([b"data: a", b"data:b", b"data:  c:d", b"data", b": heard", b"event: x", b"id: 7", b"x", b""]),
    max_size=12,
)


def fed(stream: EventStream, *received: bytes) -> list[bytes]:
    return [data for part in received for data in stream.feed(part)]


def test_each_event_is_there_as_soon_as_it_is_complete() -> None:
    stream = EventStream()
    assert stream.feed(b"data: one\n\ndata: two\n\nda") == [b"one", b"two"]
    assert stream.feed(b"ta: three\n") == []
    assert stream.feed(b"\n") == [b"three"]


def test_only_data_is_looked_at_and_its_lines_are_joined() -> None:
    stream = EventStream()
    assert fed(stream, b": still here\n\nevent: x\nid: 7\ndata: a\ndata:b\ndata\n\ndata: \n\n") == [b"a\nb\n"]


def test_an_end_of_line_that_is_cut_in_two_is_one() -> None:
    assert fed(EventStream(), b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [b"a\nb"]


@given(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(0, 150), max_size=6))
def test_however_lines_end_and_wherever_they_are_cut_the_events_are_the_same(
    lines: list[bytes], line_end: bytes, cuts: list[int]
) -> None:
    whole = line_end.join([*lines, b"data: last", b"", b""])
    borders = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    parts = [whole[a:b] for a, b in zip(borders, borders[1:], strict=False)]
    assert fed(EventStream(), *parts) == fed(EventStream(), whole.replace(line_end, b"\n"))


@pytest.mark.parametrize("endless", [b"data: no end", b"x", b"data: short\n"])
def test_an_event_without_an_end_is_not_kept_for_ever(endless: bytes) -> None:
    stream = EventStream(max_event_bytes=1000)
    with pytest.raises(EventTooLong):
        for _ in range(1001):
            stream.feed(endless)


def test_events_that_are_not_too_long_may_be_as_many_as_there_are() -> None:
    stream = EventStream(max_event_bytes=20)
    assert len(fed(stream, b"data: 0123456789\n\n" * 50)) == 50
