import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.policy.cadence import CadenceOptions, Lag, partial_interval_s

OPTIONS = CadenceOptions(base_s=0.4, max_s=2.0, give_up_s=3.0, pause_s=6.0)


def test_at_rest_the_interval_is_the_base() -> None:
    assert partial_interval_s(Lag(), OPTIONS) == 0.4
    assert partial_interval_s(Lag(0.1), OPTIONS) == 0.4


def test_a_slow_pool_is_asked_less_often_than_it_answers() -> None:
    assert partial_interval_s(Lag(1.0), OPTIONS) == pytest.approx(1.5)


def test_the_interval_stretches_only_so_far() -> None:
    assert partial_interval_s(Lag(3.0), OPTIONS) == 2.0


def test_beyond_the_limit_partials_pause_and_only_probe() -> None:
    assert partial_interval_s(Lag(3.1), OPTIONS) == 6.0


def test_the_first_round_trip_counts_in_full() -> None:
    assert Lag().after(0.8) == Lag(0.8)


def test_later_round_trips_are_smoothed_toward() -> None:
    assert Lag(1.0).after(2.0).round_trip_s == pytest.approx(1.3)


def test_a_paused_session_recovers_once_its_probes_are_answered_fast() -> None:
    lag = Lag(10.0)
    for _ in range(20):
        lag = lag.after(0.1)
    assert partial_interval_s(lag, OPTIONS) == OPTIONS.base_s


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_longer_lag_never_shortens_the_interval(one: float, other: float) -> None:
    short, long = sorted((one, other))
    assert partial_interval_s(Lag(short), OPTIONS) <= partial_interval_s(Lag(long), OPTIONS)
