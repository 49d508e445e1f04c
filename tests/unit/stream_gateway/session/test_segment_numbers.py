from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.session.segment_numbers import SegmentNumbers


def test_a_new_session_counts_over_all_its_channels() -> None:
    numbers = SegmentNumbers(last=(0, 0))
    assert numbers.highest == 0
    assert [numbers.next(channel) for channel in (0, 1, 1, 0)] == [1, 2, 3, 4]
    assert numbers.highest == 4


def test_a_number_that_no_record_has_is_given_again() -> None:
    numbers = SegmentNumbers(last=(3, 1), recorded={1, 3})
    assert [numbers.next(channel) for channel in (1, 0, 1)] == [2, 4, 5]


def test_a_number_below_the_channels_own_last_is_not() -> None:
    numbers = SegmentNumbers(last=(3, 0), recorded={3})
    assert [numbers.next(channel) for channel in (0, 1, 1)] == [4, 1, 2]


def test_what_a_client_says_it_has_counts_as_given_and_costs_nothing() -> None:
    numbers = SegmentNumbers(last=(2**52, 0), recorded={1})
    assert numbers.next(1) == 2**52 + 1


def test_a_record_with_a_number_far_above_all_others_costs_nothing() -> None:
    numbers = SegmentNumbers(last=(0,), recorded={1, 2**52})
    assert [numbers.next(0) for _ in range(3)] == [2, 3, 4]


@given(
    st.dictionaries(st.integers(1, 30), st.integers(0, 1), max_size=12),
    st.lists(st.integers(0, 1), max_size=40),
)
def test_numbers_are_unique_and_grow_in_each_channel(recorded: dict[int, int], speakers: list[int]) -> None:
    last = [max((number for number, of in recorded.items() if of == channel), default=0) for channel in (0, 1)]
    numbers = SegmentNumbers(last=last, recorded=recorded)
    seen = set(recorded)
    for channel in speakers:
        number = numbers.next(channel)
        assert number not in seen and number > last[channel]
        seen.add(number)
        last[channel] = number
    assert numbers.highest == max(seen, default=0)
