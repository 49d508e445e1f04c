from math import isnan

import pytest

from benchmarks.chat_figures import (
    Turn,
    added_s,
    median_ratio,
    resumed_s,
    stopped_s,
    token_delays_s,
    tokens_per_s,
)


def turn(*pieces: tuple[float, str], asked_at: float = 0.0, ended_at: float = 1.0, tokens: int = 0) -> Turn:
    return Turn(asked_at, pieces, ended_at, tokens)


def test_a_turn_knows_its_text_and_when_it_began() -> None:
    one = turn((10.25, "Of "), (10.5, "course."), asked_at=10.0)
    assert (one.text, one.first_s) == ("Of course.", 0.25)
    assert isnan(turn().first_s)


def test_what_is_added_is_the_difference_of_the_percentiles() -> None:
    ours = [turn((at, "a")) for at in (0.3, 0.5, 0.9)]
    direct = [turn((at, "a")) for at in (0.8, 0.2, 0.4)]
    assert added_s(ours, direct, 50) == pytest.approx(0.1)
    assert added_s(ours, direct, 100) == pytest.approx(0.1)


def test_answers_that_run_together_share_the_time_of_all() -> None:
    together = [turn(asked_at=1.0, ended_at=4.0, tokens=50), turn(asked_at=2.0, ended_at=6.0, tokens=50)]
    assert tokens_per_s(together) == 20.0


def test_rates_are_compared_by_their_medians() -> None:
    assert median_ratio([10.0, 95.0, 99.0], [100.0, 1.0, 1000.0]) == 0.95


def test_each_token_is_late_by_its_own_number_whatever_pieces_they_come_in() -> None:
    one = turn((5.01, "so.1"), (5.06, " it.2 goes.3"), asked_at=5.0)
    assert token_delays_s(one, 0.02) == pytest.approx([0.01, 0.04, 0.02])


def test_what_was_on_its_way_is_no_sign_of_life_after_a_kill() -> None:
    one = turn((1.0, "a"), (2.001, "b"), (2.002, "c"), (3.5, "d"), (3.52, "e"))
    assert resumed_s(one, 2.0) == pytest.approx(1.5)


def test_an_answer_that_nobody_took_over_never_resumed() -> None:
    assert isnan(resumed_s(turn((1.0, "a")), 2.0))


def test_an_engine_has_stopped_when_it_is_first_seen_at_rest_after_the_cancel() -> None:
    looks = [(0.9, False), (1.0, True), (1.01, True), (1.03, False), (1.04, True)]
    assert stopped_s(looks, 1.0) == pytest.approx(0.03)
    assert isnan(stopped_s(looks[:3], 1.0))
