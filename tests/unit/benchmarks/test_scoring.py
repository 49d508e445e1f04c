from math import isnan

import pytest

from benchmarks.scoring import Errors, count_errors, percentile, tokens, total


def test_spelling_that_is_no_difference_in_speech_is_no_error() -> None:
    assert count_errors("MISTER DASHWOOD CALLED TWICE TODAY", "Mr. Dashwood called twice today.") == Errors(0, 5)


def test_each_wrong_missing_and_added_word_counts_once() -> None:
    assert count_errors("one of the two sat there", "one off the two sat there then") == Errors(2, 6)
    assert count_errors("and then he left", "") == Errors(4, 4)


def test_words_where_nobody_spoke_are_errors_without_a_rate() -> None:
    assert count_errors("", "thank you") == Errors(2, 0)
    assert isnan(count_errors("", "").rate)


def test_chinese_is_counted_by_character() -> None:
    assert tokens("你好,世界。", "zh") == ["你", "好", "世", "界"]
    assert count_errors("你好世界", "你好是界", "zh") == Errors(1, 4)


def test_accents_are_no_difference() -> None:
    assert count_errors("está aquí", "esta aqui", "es") == Errors(0, 2)


def test_long_texts_weigh_more_than_short_ones() -> None:
    assert total([Errors(1, 1), Errors(0, 9)]).rate == pytest.approx(0.1)


def test_a_percentile_of_nothing_is_no_number() -> None:
    assert isnan(percentile([], 95))
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
