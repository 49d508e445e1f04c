import pytest

from asr_workers.batch.arrivals import Arrivals


def test_nothing_is_expected_before_two_windows_came() -> None:
    arrivals = Arrivals()
    assert arrivals.gap_s("final", 15, 0.0) == 3600.0
    arrivals.on_arrival("final", 15, 1.0)
    assert arrivals.gap_s("final", 15, 1.0) == 3600.0


def test_the_gap_follows_the_last_few_windows() -> None:
    arrivals = Arrivals()
    for at in range(10):
        arrivals.on_arrival("final", 15, float(at))
    assert arrivals.gap_s("final", 15, 9.0) == pytest.approx(1.0)
    for n in range(1, 21):
        arrivals.on_arrival("final", 15, 9.0 + 0.1 * n)
    assert arrivals.gap_s("final", 15, 11.0) == pytest.approx(0.1, abs=0.02)


def test_a_silence_longer_than_the_gap_is_the_gap() -> None:
    arrivals = Arrivals()
    for at in (0.0, 1.0):
        arrivals.on_arrival("final", 15, at)
    assert arrivals.gap_s("final", 15, 6.0) == pytest.approx(5.0)


def test_kinds_and_contexts_are_apart_and_all_contexts_of_a_kind_count_together() -> None:
    arrivals = Arrivals()
    for at in range(10):
        arrivals.on_arrival("final", 15, float(at))
        arrivals.on_arrival("final", 20, at + 0.5)
    assert arrivals.gap_s("final", 20, 9.5) == pytest.approx(1.0)
    assert arrivals.gap_s("final", None, 9.5) == pytest.approx(0.5)
    assert arrivals.gap_s("partial", None, 9.5) == 3600.0


def test_windows_that_come_out_of_order_count_as_come_together() -> None:
    arrivals = Arrivals()
    for at in (1.0, 0.5):
        arrivals.on_arrival("final", 15, at)
    assert arrivals.gap_s("final", 15, 1.0) == 0.0
