import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_gateway.audio.ring import AudioBuffer


def numbered(start: int, count: int) -> NDArray[np.int16]:
    """Samples whose value tells their number."""
    return (np.arange(start, start + count) % 30_011).astype(np.int16)


def test_a_slice_is_little_endian_16_bit() -> None:
    buffer = AudioBuffer()
    buffer.append(np.array([1, -2, 300], dtype=np.int16))
    assert buffer.slice_bytes(1, 3) == b"\xfe\xff\x2c\x01"


def test_numbering_may_begin_anywhere() -> None:
    buffer = AudioBuffer(start_sample=1_000_000_000_000)
    buffer.append(numbered(0, 10))
    assert (buffer.start_sample, buffer.end_sample) == (1_000_000_000_000, 1_000_000_000_010)
    assert buffer.slice_bytes(1_000_000_000_003, 1_000_000_000_005) == numbered(3, 2).tobytes()


@pytest.mark.parametrize(("start", "end"), [(4, 8), (5, 21), (9, 8), (-1, 3)])
def test_audio_that_is_not_held_cannot_be_read(start: int, end: int) -> None:
    buffer = AudioBuffer()
    buffer.append(numbered(0, 20))
    buffer.release(5)
    with pytest.raises(IndexError):
        buffer.slice_bytes(start, end)


def test_what_is_not_there_yet_cannot_be_released() -> None:
    buffer = AudioBuffer()
    buffer.append(numbered(0, 20))
    with pytest.raises(IndexError):
        buffer.release(21)


def test_releasing_twice_or_backwards_changes_nothing() -> None:
    buffer = AudioBuffer()
    buffer.append(numbered(0, 20))
    buffer.release(10)
    buffer.release(10)
    buffer.release(3)
    assert (buffer.start_sample, buffer.end_sample, buffer.held_samples) == (10, 20, 10)


def test_memory_stays_flat_over_an_hour_of_which_little_is_held() -> None:
    buffer, second = AudioBuffer(), numbered(0, 16_000)
    sizes = set()
    for turn in range(3_600):
        buffer.append(second)
        buffer.release(max(0, (turn - 2) * 16_000))
        sizes.add(buffer.allocated_bytes)
    assert max(sizes) <= 2 * 2 * 4 * 16_000


def test_memory_shrinks_when_a_backlog_is_released() -> None:
    buffer = AudioBuffer()
    buffer.append(numbered(0, 1_000_000))
    buffer.release(1_000_000)
    assert buffer.allocated_bytes == 16_384


def test_an_idle_buffer_is_small() -> None:
    assert AudioBuffer().allocated_bytes == 16_384


def test_appending_copies() -> None:
    buffer, block = AudioBuffer(), numbered(0, 5)
    buffer.append(block)
    block[:] = 7
    assert buffer.slice_bytes(0, 5) == numbered(0, 5).tobytes()


@given(st.lists(st.tuples(st.integers(0, 30_000), st.floats(0, 1)), max_size=30))
def test_whatever_is_held_reads_back_as_appended_and_memory_follows_it(steps: list[tuple[int, float]]) -> None:
    buffer = AudioBuffer()
    for count, released_share in steps:
        buffer.append(numbered(buffer.end_sample, count))
        peak = buffer.held_samples
        assert buffer.allocated_bytes <= max(16_384, 2 * 2 * peak)
        buffer.release(buffer.start_sample + int(released_share * buffer.held_samples))
        assert buffer.end_sample - buffer.start_sample == buffer.held_samples
        expected = numbered(buffer.start_sample, buffer.held_samples).tobytes()
        assert buffer.slice_bytes(buffer.start_sample, buffer.end_sample) == expected
        assert buffer.allocated_bytes <= max(16_384, 2 * 2 * buffer.held_samples)
