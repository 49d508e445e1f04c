import pytest

from benchmarks.peers.bisection import MostSessions


def search(truth: int, highest: int) -> tuple[int, list[int]]:
    """What comes out, and what was tried, for a system that holds `truth` sessions."""
    most, tried = MostSessions(highest), []
    while (sessions := most.next_try()) is not None:
        tried.append(sessions)
        (most.passed if sessions <= truth else most.failed)(sessions)
    return most.held, tried


@pytest.mark.parametrize("highest", [1, 2, 7, 24])
def test_every_answer_is_found_and_no_number_is_tried_twice(highest: int) -> None:
    for truth in range(highest + 1):
        held, tried = search(truth, highest)
        assert held == truth
        assert len(set(tried)) == len(tried)


def test_who_fails_with_one_is_not_tried_with_more() -> None:
    assert search(0, 24) == (0, [1])


def test_numbers_double_until_one_fails() -> None:
    assert search(9, 24) == (9, [1, 2, 4, 8, 16, 12, 10, 9])


def test_the_search_ends_at_the_highest_number() -> None:
    assert search(100, 24) == (24, [1, 2, 4, 8, 16, 24])
