import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.policy.hedging import HedgeOptions, Hedging

OPTIONS = HedgeOptions(floor_s=1.0, unknown_s=5.0, min_answers=10, max_answers=100, share=0.05, burst=2.0)


def a_pool(*answers_s: float, options: HedgeOptions = OPTIONS) -> Hedging:
    hedging = Hedging(options)
    hedging.on_workers({"w1", "w2"})
    for held_s in answers_s:
        hedging.on_answer(held_s)
    return hedging


def test_a_final_that_takes_longer_than_almost_all_others_is_hedged() -> None:
    assert a_pool(*(2.0 + index / 100 for index in range(100))).wait_s == pytest.approx(2.98)


def test_a_fast_pool_has_a_floor() -> None:
    assert a_pool(*[0.2] * 50).wait_s == 1.0


def test_until_enough_was_measured_the_wait_is_a_careful_one() -> None:
    assert a_pool(*[0.2] * 9).wait_s == 5.0
    assert a_pool(*[0.2] * 10).wait_s == 1.0


def test_old_answers_are_forgotten() -> None:
    assert a_pool(*[9.0] * 50, *[2.0] * 100).wait_s == 2.0


def test_a_worker_alone_is_not_asked_twice() -> None:
    hedging = a_pool()
    hedging.on_workers({"w1"})
    assert hedging.wait_s is None


def test_there_are_others_than_a_worker_that_is_gone() -> None:
    hedging = a_pool()
    assert hedging.has_other_than("w1")
    hedging.on_workers({"w2"})
    assert hedging.has_other_than("w1")
    assert not hedging.has_other_than("w2")


def test_nothing_is_hedged_where_it_is_switched_off() -> None:
    assert a_pool(options=HedgeOptions(enabled=False)).wait_s is None


def test_hedges_are_a_small_share_of_the_answers() -> None:
    hedging = a_pool()
    assert [hedging.spend() for _ in range(3)] == [True, True, False]

    spent = 0
    for _ in range(1000):
        hedging.on_answer(0.5)
        spent += hedging.spend()

    assert 49 <= spent <= 50


def test_no_more_is_saved_up_than_a_burst() -> None:
    hedging = a_pool(*[0.5] * 1000)
    assert [hedging.spend() for _ in range(3)] == [True, True, False]


@given(st.lists(st.floats(0, 100), max_size=250))
def test_the_wait_lies_within_what_was_measured_lately(answers_s: list[float]) -> None:
    wait_s = a_pool(*answers_s).wait_s
    assert wait_s is not None
    if len(answers_s) >= 10:
        assert wait_s <= max(1.0, *answers_s[-100:])


@pytest.mark.parametrize(
    "changes",
    [{"quantile": 1.0}, {"floor_s": 0.0}, {"unknown_s": 0.0}, {"min_answers": 0}, {"share": 1.5}, {"burst": 0.5}],
    ids=str,
)
def test_options_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="quantile|hedging"):
        HedgeOptions(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("workers", "wait_s"), [(2, 0.75), (1, 0.75), (0, None)])
def test_a_final_that_no_worker_says_it_has_waits_less_and_needs_but_one_worker(
    workers: int, wait_s: float | None
) -> None:
    pool = a_pool()
    pool.on_workers({f"w{number}" for number in range(workers)})
    assert pool.unnoticed_wait_s == wait_s


def test_where_hedging_is_off_nothing_is_hedged_for_silence_either() -> None:
    assert a_pool(options=HedgeOptions(enabled=False)).unnoticed_wait_s is None
