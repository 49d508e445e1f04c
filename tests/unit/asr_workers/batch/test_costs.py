import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_workers.batch.costs import CallTime, CostModel
from bus.contract.work import WindowKind


def call(seconds: float, windows: int = 1, kind: WindowKind = "final", context_s: int = 15) -> CallTime:
    return CallTime(kind=kind, context_s=context_s, windows=windows, seconds=seconds)


def test_calls_count_as_free_before_anything_was_learnt() -> None:
    costs = CostModel()
    assert (costs.seconds("final", 15, 4), costs.further_s("final", 15), costs.learnt()) == (0.0, 0.0, ())


def test_the_first_single_window_and_the_first_batch_give_the_line() -> None:
    costs = CostModel([call(0.4), call(1.0, windows=4)])
    assert [costs.seconds("final", 15, windows) for windows in (1, 2, 4)] == pytest.approx([0.4, 0.6, 1.0])
    assert costs.further_s("final", 15) == pytest.approx(0.2)


def test_windows_save_nothing_together_until_a_batch_showed_it() -> None:
    assert CostModel([call(0.4)]).seconds("final", 15, 3) == pytest.approx(1.2)
    assert CostModel([call(1.2, windows=4)]).seconds("final", 15, 1) == pytest.approx(0.3)


def test_a_further_window_costs_no_more_than_the_first_and_no_less_than_nothing() -> None:
    assert CostModel([call(0.4), call(9.0, windows=2)]).further_s("final", 15) == pytest.approx(0.4)
    assert CostModel([call(0.4), call(0.3, windows=2)]).further_s("final", 15) == 0.0


def test_no_call_is_expected_to_take_less_than_nothing() -> None:
    costs = CostModel([call(0.1, windows=2), call(0.5), call(0.0, windows=4)])
    assert costs.seconds("final", 15, 1) >= 0.0


def test_what_was_never_measured_is_scaled_from_the_nearest_context_of_its_kind() -> None:
    costs = CostModel([call(0.2, kind="partial", context_s=10), call(0.6, context_s=15)])
    assert costs.seconds("final", 30, 1) == pytest.approx(1.2)
    assert costs.seconds("partial", 15, 1) == pytest.approx(0.3)
    only_partials = CostModel([call(0.2, kind="partial", context_s=10)])
    assert only_partials.seconds("final", 20, 1) == pytest.approx(0.4)


def test_a_call_in_a_context_of_its_own_replaces_what_was_scaled() -> None:
    costs = CostModel([call(0.6), call(0.8, windows=2)])
    costs.learn(call(2.0, context_s=30))
    assert costs.seconds("final", 30, 1) == pytest.approx(2.0)
    assert costs.seconds("final", 15, 1) == pytest.approx(0.6)
    assert [(one.kind, one.context_s) for one in costs.learnt()] == [("final", 15), ("final", 30)]


def test_a_machine_that_gets_slower_is_followed_within_some_calls() -> None:
    costs = CostModel([call(0.4)] * 100)
    for _ in range(20):
        costs.learn(call(0.8))
    assert costs.seconds("final", 15, 1) == pytest.approx(0.8, rel=0.1)


def test_one_odd_call_moves_an_established_cost_by_a_tenth() -> None:
    costs = CostModel([call(0.4)] * 100)
    costs.learn(call(1.4))
    assert costs.seconds("final", 15, 1) == pytest.approx(0.5)


@given(calls=st.lists(st.tuples(st.floats(0, 10), st.integers(1, 8)), max_size=30))
def test_a_larger_batch_never_seems_quicker_nor_dearer_than_its_windows_alone(calls: list[tuple[float, int]]) -> None:
    costs = CostModel(call(seconds, windows) for seconds, windows in calls)
    expected = [costs.seconds("final", 15, windows) for windows in range(1, 9)]
    assert expected == sorted(expected)
    assert all(together <= n * expected[0] + 1e-9 for n, together in enumerate(expected, 1))


@given(first_s=st.floats(0.05, 1), share=st.floats(0.1, 1), sizes=st.lists(st.integers(1, 8), min_size=60, max_size=60))
def test_the_line_of_a_steady_machine_is_found(first_s: float, share: float, sizes: list[int]) -> None:
    costs = CostModel()
    for windows in [1, 4, *sizes]:
        costs.learn(call(first_s * (1 + share * (windows - 1)), windows))
    assert costs.seconds("final", 15, 4) == pytest.approx(first_s * (1 + 3 * share))
