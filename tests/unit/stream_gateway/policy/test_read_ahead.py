from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.policy.read_ahead import read_ahead_frames

_MIB = 1024 * 1024


def test_small_frames_are_read_ahead_and_large_ones_hardly() -> None:
    assert [read_ahead_frames(size) for size in (1024, _MIB, 4 * _MIB, 32 * _MIB)] == [8, 8, 2, 1]


@given(size=st.integers(min_value=1024, max_value=2**40))
def test_what_waits_is_eight_mebibytes_or_a_single_frame(size: int) -> None:
    frames = read_ahead_frames(size)
    assert frames == 1 or frames * size <= 8 * _MIB
