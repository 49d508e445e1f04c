import pytest

from benchmarks.bisection import most_held, next_trial


def search(most: int, *, start: int = 1, limit: int = 64) -> list[int]:
    """The numbers tried when up to `most` sessions hold; the answer must be found."""
    held: dict[int, bool] = {}
    while (number := next_trial(held, start=start, limit=limit)) is not None:
        assert number not in held
        held[number] = number <= most
    assert most_held(held) == min(most, limit)
    return list(held)


def test_it_doubles_until_a_number_fails_and_then_halves_the_gap() -> None:
    assert search(11) == [1, 2, 4, 8, 16, 12, 10, 11]


def test_a_good_first_guess_saves_trials() -> None:
    assert search(9, start=8) == [8, 16, 12, 10, 9]


def test_where_the_first_guess_fails_it_goes_down() -> None:
    assert search(3, start=8) == [8, 4, 2, 3]


def test_where_not_even_one_session_holds_the_answer_is_none() -> None:
    assert search(0) == [1]


def test_it_stops_at_the_limit() -> None:
    assert search(100, limit=12) == [1, 2, 4, 8, 12]
    assert search(100, start=20, limit=12) == [12]


@pytest.mark.parametrize("most", range(34))
def test_the_answer_is_found_wherever_it_lies(most: int) -> None:
    assert len(search(most, limit=32)) <= 12


def test_a_failure_below_a_success_counts() -> None:
    assert most_held({8: True, 4: False, 2: True}) == 2
    assert next_trial({8: True, 4: False, 2: True}, limit=16) == 3


def searched(truth: int, highest: int) -> tuple[int, list[int]]:
    """What comes out, and what was tried, for a system that holds `truth` sessions."""
    held: dict[int, bool] = {}
    while (sessions := next_trial(held, limit=highest)) is not None:
        assert sessions not in held
        held[sessions] = sessions <= truth
    return most_held(held), list(held)


@pytest.mark.parametrize("highest", [1, 2, 7, 24])
def test_every_answer_is_found_and_no_number_is_tried_twice(highest: int) -> None:
    for truth in range(highest + 1):
        held, tried = searched(truth, highest)
        assert held == truth
        assert len(set(tried)) == len(tried)


def test_who_fails_with_one_is_not_tried_with_more() -> None:
    assert searched(0, 24) == (0, [1])


def test_numbers_double_until_one_fails() -> None:
    assert searched(9, 24) == (9, [1, 2, 4, 8, 16, 12, 10, 9])


def test_the_search_ends_at_the_highest_number() -> None:
    assert searched(100, 24) == (24, [1, 2, 4, 8, 16, 24])
