import pytest

from stream_gateway.policy.smoothing import Smoothed


def test_the_first_measurement_counts_in_full() -> None:
    one = Smoothed(rise_s=1.0, fall_s=10.0)
    assert one.value == 0.0
    one.measure(4.0, 100.0)
    assert (one.value, one.measured_at) == (4.0, 100.0)


def test_it_rises_fast_and_falls_slowly() -> None:
    one = Smoothed(rise_s=1.0, fall_s=10.0)
    one.measure(1.0, 0.0)
    one.measure(2.0, 0.2)
    assert one.value == pytest.approx(1.2)
    one.measure(0.2, 0.4)
    assert one.value == pytest.approx(1.18)


def test_one_measurement_is_half_the_truth_however_long_nothing_was_measured() -> None:
    one = Smoothed(rise_s=1.0, fall_s=10.0)
    one.measure(1.0, 0.0)
    one.measure(2.0, 1000.0)
    assert one.value == 1.5


def test_what_is_forgotten_was_never_measured() -> None:
    one = Smoothed(rise_s=1.0, fall_s=10.0)
    one.measure(1.0, 0.0)
    one.forget()
    assert (one.value, one.measured_at) == (0.0, None)
    one.measure(3.0, 1.0)
    assert one.value == 3.0
