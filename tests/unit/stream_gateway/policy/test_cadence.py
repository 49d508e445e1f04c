import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.policy.cadence import CadenceOptions, PoolLag, jitter_of

OPTIONS = CadenceOptions(base_s=0.4, max_s=2.0, give_up_s=3.0, resume_s=1.5, pause_s=6.0, jitter=0.1)
MIDDLE = 0.5
"""The jitter that changes nothing."""


def a_lag(lag_s: float, now: float = 0.0) -> PoolLag:
    lag = PoolLag(OPTIONS)
    lag.on_partial(lag_s, now)
    return lag


def interval_at(lag_s: float) -> float:
    return a_lag(lag_s).interval_s(MIDDLE)


# --- the interval


def test_at_rest_the_interval_is_the_base() -> None:
    assert PoolLag(OPTIONS).interval_s(MIDDLE) == 0.4
    assert interval_at(0.1) == 0.4


def test_a_slow_pool_is_asked_less_often_than_it_answers() -> None:
    assert interval_at(1.0) == pytest.approx(1.5)


def test_the_interval_stretches_only_so_far() -> None:
    assert interval_at(3.0) == 2.0


def test_beyond_the_limit_partials_stop_and_only_probe() -> None:
    lag = a_lag(3.1)
    assert lag.partials_stopped
    assert lag.interval_s(MIDDLE) == 6.0


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_longer_lag_never_shortens_the_interval(one: float, other: float) -> None:
    short, long = sorted((one, other))
    assert interval_at(short) <= interval_at(long)


def test_sessions_that_began_together_drift_apart_by_their_jitter() -> None:
    lag = PoolLag(OPTIONS)
    assert lag.interval_s(0.0) == pytest.approx(0.36)
    assert lag.interval_s(1.0) == pytest.approx(0.44)


@given(st.text(max_size=10), st.integers(0, 10**6))
def test_jitter_is_a_share_that_only_session_and_number_decide(session: str, number: int) -> None:
    assert 0.0 <= jitter_of(session, number) < 1.0
    assert jitter_of(session, number) == jitter_of(session, number)


def test_jitter_is_spread_over_its_whole_range() -> None:
    shares = [jitter_of("s1", number) for number in range(1000)]
    assert 0.4 < sum(shares) / 1000 < 0.6
    assert min(shares) < 0.05
    assert max(shares) > 0.95


# --- the measure


def test_the_first_round_trip_counts_in_full() -> None:
    assert a_lag(0.8).lag_s == 0.8


def test_the_lag_rises_fast_and_falls_slowly() -> None:
    lag = a_lag(1.0)
    lag.on_partial(2.0, 0.1)
    assert lag.lag_s == pytest.approx(1.25)
    lag.on_partial(0.25, 0.2)
    assert lag.lag_s == pytest.approx(1.25 - 1.0 * 0.1 / 3)


def test_one_measurement_is_half_the_truth_however_long_nothing_was_measured() -> None:
    lag = a_lag(1.0)
    lag.on_partial(2.0, 100.0)
    assert lag.lag_s == pytest.approx(1.5)
    lag.on_partial(0.5, 200.0)
    assert lag.lag_s == pytest.approx(1.0)


@given(st.integers(1, 50))
def test_many_sessions_move_the_lag_no_faster_than_one(sessions: int) -> None:
    one, many = a_lag(2.0), a_lag(2.0)
    one.on_partial(0.5, 1.0)
    for session in range(1, sessions + 1):
        many.on_partial(0.5, session / sessions)
    assert many.lag_s >= one.lag_s - 1e-9


def test_a_final_that_waited_raises_the_lag() -> None:
    lag = a_lag(0.4)
    lag.on_final(2.4, 1.0)
    assert lag.lag_s == pytest.approx(1.4)


def test_a_final_that_did_not_wait_says_nothing_about_partials() -> None:
    lag = a_lag(1.0)
    lag.on_final(0.0, 1.0)
    assert lag.lag_s == 1.0


# --- stop and resume


def test_partials_that_stopped_resume_only_well_below_the_limit_and_then_stretched() -> None:
    lag = a_lag(4.0)
    lag.on_partial(1.0, 6.0)
    assert lag.lag_s == 2.5
    assert lag.interval_s(MIDDLE) == 6.0, "below the limit is not enough"

    lag.on_partial(0.1, 12.0)

    assert not lag.partials_stopped
    assert lag.lag_s == 1.5
    assert lag.interval_s(MIDDLE) == 2.0


def test_while_partials_are_stopped_finals_measure_how_the_pool_recovers() -> None:
    lag = a_lag(4.0)
    for now in (2.0, 4.0, 6.0):
        lag.on_final(0.0, now)
    assert not lag.partials_stopped


def test_a_pool_that_recovers_comes_back_to_its_base() -> None:
    lag = a_lag(10.0)
    for now in range(1, 60):
        lag.on_partial(0.1, float(now))
    assert lag.interval_s(MIDDLE) == OPTIONS.base_s


def test_one_session_of_a_stopped_pool_probes_at_a_time() -> None:
    lag = a_lag(4.0)
    assert lag.admit_partial(10.0)
    assert not lag.admit_partial(10.0)
    assert not lag.admit_partial(15.9)
    assert lag.admit_partial(16.0)


def test_a_pool_that_keeps_up_admits_every_partial() -> None:
    lag = a_lag(1.0)
    assert lag.admit_partial(10.0)
    assert lag.admit_partial(10.0)


# --- the queue of finals


def test_a_queue_that_is_worked_off_is_as_long_as_its_finals_take() -> None:
    lag = PoolLag(OPTIONS)
    lag.on_queue(waiting=4, taken_upto_seq=10, now=0.0)
    lag.on_queue(waiting=6, taken_upto_seq=14, now=1.0)
    assert lag.lag_s == 1.5, "six more at four a second"


def test_a_queue_that_nobody_works_off_grows_with_time() -> None:
    lag = PoolLag(OPTIONS)
    lag.on_queue(waiting=1, taken_upto_seq=10, now=0.0)
    lag.on_queue(waiting=1, taken_upto_seq=10, now=1.0)
    assert lag.lag_s == 1.0
    for now in range(2, 12):
        lag.on_queue(waiting=1, taken_upto_seq=10, now=float(now))
    assert lag.partials_stopped


def test_an_idle_pool_has_no_queue_however_long_ago_it_took_its_last_final() -> None:
    lag = PoolLag(OPTIONS)
    lag.on_queue(waiting=0, taken_upto_seq=10, now=0.0)
    lag.on_queue(waiting=0, taken_upto_seq=10, now=100.0)
    lag.on_queue(waiting=1, taken_upto_seq=10, now=101.0)
    assert lag.lag_s == 1.0


def test_a_short_queue_does_not_lower_the_lag() -> None:
    lag = a_lag(1.0)
    lag.on_queue(waiting=0, taken_upto_seq=10, now=1.0)
    assert lag.lag_s == 1.0


def test_a_restarted_broker_that_counts_from_one_again_is_read_as_progress() -> None:
    lag = PoolLag(OPTIONS)
    lag.on_queue(waiting=1, taken_upto_seq=10, now=0.0)
    lag.on_queue(waiting=1, taken_upto_seq=2, now=1.0)
    lag.on_queue(waiting=1, taken_upto_seq=3, now=2.0)
    assert lag.lag_s == 1.0


def test_what_was_measured_long_ago_is_forgotten() -> None:
    lag = a_lag(4.0)
    lag.on_queue(waiting=0, taken_upto_seq=1, now=8.0)
    assert lag.partials_stopped
    lag.on_queue(waiting=0, taken_upto_seq=1, now=8.1)
    assert (lag.lag_s, lag.partials_stopped) == (0.0, False)
    lag.on_partial(0.3, 9.0)
    assert lag.lag_s == 0.3


# --- the tentative final


@pytest.mark.parametrize(("lag_s", "wait_s"), [(0.0, 0.2), (0.5, 0.2), (1.25, 0.35), (2.0, 0.5), (9.0, 0.5)])
def test_the_more_a_pool_lags_the_surer_an_end_must_be_before_it_is_decoded(lag_s: float, wait_s: float) -> None:
    assert a_lag(lag_s).tentative_wait_s(tentative_s=0.2, endpoint_s=0.5) == pytest.approx(wait_s)


@pytest.mark.parametrize(
    "changes",
    [
        {"base_s": 0.0},
        {"base_s": 3.0},
        {"resume_s": 4.0},
        {"pause_s": 0.0},
        {"jitter": 1.0},
        {"hasty_below_s": 2.0},
    ],
    ids=str,
)
def test_options_that_contradict_one_another_are_refused(changes: dict[str, float]) -> None:
    values = {"base_s": 0.4, "max_s": 2.0, **changes}
    with pytest.raises(ValueError, match="must"):
        CadenceOptions(**values)
