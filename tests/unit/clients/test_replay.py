import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.replay import ReplayBuffer


def make_buffer(*, max_bytes: int = 100, start_offset: int = 0) -> ReplayBuffer:
    return ReplayBuffer(frame_bytes=2, max_bytes=max_bytes, start_offset=start_offset)


def test_it_gives_back_what_was_sent_from_any_offset() -> None:
    buffer = make_buffer(start_offset=10)
    buffer.append(b"aabb")
    buffer.append(b"ccdd")
    assert buffer.since(10) == b"aabbccdd"
    assert buffer.since(13) == b"dd"
    assert buffer.since(14) == b""


def test_committed_chunks_are_forgotten_and_a_chunk_cut_by_the_offset_is_kept() -> None:
    buffer = make_buffer()
    buffer.append(b"aabb")
    buffer.append(b"ccdd")
    buffer.commit(3)
    assert buffer.start_offset == 2
    assert buffer.since(3) == b"dd"
    buffer.commit(1)
    assert buffer.held_bytes == 4
    buffer.commit(4)
    assert buffer.held_bytes == 0


def test_the_oldest_audio_goes_when_the_bound_is_reached() -> None:
    buffer = make_buffer(max_bytes=4)
    for chunk in (b"aa", b"bb", b"cc"):
        buffer.append(chunk)
    assert (buffer.start_offset, buffer.end_offset, buffer.dropped_bytes) == (1, 3, 2)
    assert buffer.since(1) == b"bbcc"


@pytest.mark.parametrize("offset", [0, 4])
def test_asking_for_audio_that_was_forgotten_or_never_sent_is_an_error(offset: int) -> None:
    buffer = make_buffer(max_bytes=4)
    for chunk in (b"aa", b"bb", b"cc"):
        buffer.append(chunk)
    with pytest.raises(ValueError, match="held from 1 to 3"):
        buffer.since(offset)


def test_half_a_sample_frame_does_not_count() -> None:
    buffer = make_buffer(max_bytes=5)
    buffer.append(b"aab")
    assert buffer.end_offset == 1
    buffer.append(b"bcc")
    assert buffer.start_offset == 2
    assert buffer.since(2) == b"cc"


@given(chunks=st.lists(st.binary(max_size=7), max_size=30), commit=st.integers(0, 60), bound=st.integers(1, 40))
def test_what_is_held_is_always_the_newest_part_and_within_the_bound(
    chunks: list[bytes], commit: int, bound: int
) -> None:
    buffer = make_buffer(max_bytes=bound)
    for chunk in chunks:
        buffer.append(chunk)
        assert buffer.held_bytes <= bound
    sent = b"".join(chunks)
    buffer.commit(min(commit, buffer.end_offset))
    if buffer.start_offset <= buffer.end_offset:
        assert buffer.since(buffer.start_offset) == sent[buffer.start_offset * 2 :]
