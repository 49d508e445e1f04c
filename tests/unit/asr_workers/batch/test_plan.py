from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_workers.batch.costs import CallTime, CostModel
from asr_workers.batch.plan import Batch, BatchPlan, Group, PlanLimits, Running, Waiting, plan_batch
from bus.contract.work import WindowKind

SHORT, LONG = Group(15, 0), Group(30, 0)


FREE = CostModel()
"""Nothing learnt: calls count as free."""


def costs(*, final: tuple[float, float] = (0.4, 0.3), partial: tuple[float, float] = (0.2, 0.1)) -> CostModel:
    """Seconds of a first and of each further window, in 15 s of context."""
    each: dict[WindowKind, tuple[float, float]] = {"final": final, "partial": partial}
    return CostModel(
        CallTime(kind=kind, context_s=15, windows=windows, seconds=first_s + (windows - 1) * further_s)
        for kind, (first_s, further_s) in each.items()
        for windows in (1, 2)
    )


def limits(
    *,
    executors: int = 2,
    final_batch: int = 4,
    partial_batch: int = 4,
    max_wait_s: float = 0.0,
    partial_hold_s: float = 0.3,
) -> PlanLimits:
    return PlanLimits(
        executors=executors,
        final_batch=final_batch,
        partial_batch=partial_batch,
        max_wait_s=max_wait_s,
        partial_hold_s=partial_hold_s,
    )


def window(job: int, kind: WindowKind = "final", group: Group = SHORT, since: float | None = None) -> Waiting:
    return Waiting(job=job, kind=kind, group=group, since=float(job) if since is None else since)


def plan(
    *waiting: Waiting,
    now: float = 100.0,
    running: tuple[Running, ...] = (),
    at: PlanLimits,
    costs: CostModel = FREE,
    gap_s: float = 3600.0,
    to_come: int = 0,
) -> BatchPlan:
    return plan_batch(
        waiting, running, now=now, limits=at, costs=costs, gap_s=lambda kind, context_s: gap_s, finals_to_come=to_come
    )


def final_until(ends_at: float) -> Running:
    return Running(kind="final", ends_at=ends_at)


def partial_until(ends_at: float) -> Running:
    return Running(kind="partial", ends_at=ends_at)


def jobs(plan: BatchPlan) -> list[tuple[int, ...]]:
    return [batch.jobs for batch in plan.batches]


def test_nothing_waiting_runs_nothing() -> None:
    assert plan(at=limits()) == BatchPlan()


def test_finals_run_before_older_partials() -> None:
    result = plan(window(1, "partial"), window(2), at=limits(executors=1))
    assert result.batches == (Batch(kind="final", jobs=(2,)),)


def test_windows_of_one_group_are_spread_over_the_free_executors() -> None:
    assert jobs(plan(*(window(i) for i in range(1, 5)), at=limits())) == [(1, 2), (3, 4)]


def test_the_oldest_window_decides_the_group() -> None:
    waiting = window(1, group=LONG), window(2), window(3, group=LONG)
    assert jobs(plan(*waiting, at=limits(executors=1))) == [(1, 3)]


def test_a_batch_is_never_above_its_limit() -> None:
    assert jobs(plan(*(window(i) for i in range(1, 8)), at=limits(executors=1, final_batch=3))) == [(1, 2, 3)]


def test_groups_of_finals_share_the_executors_before_one_is_spread() -> None:
    waiting = window(1), window(2), window(3, group=LONG)
    assert jobs(plan(*waiting, at=limits(), costs=costs(final=(0.6, 0.05)))) == [(1, 2), (3,)]


def test_finals_are_not_spread_to_the_last_executor_when_others_are_about_to_come() -> None:
    pair = window(1), window(2)
    assert jobs(plan(*pair, at=limits(), costs=costs(), gap_s=1.0)) == [(1,), (2,)]
    assert jobs(plan(*pair, at=limits(), costs=costs(), gap_s=0.1)) == [(1, 2)]
    assert jobs(plan(*pair, at=limits(executors=3), costs=costs(), gap_s=0.1)) == [(1,), (2,)]


def test_more_finals_than_a_batch_holds_run_on_the_next_free_executor_whoever_comes() -> None:
    five = [window(n) for n in range(1, 6)]
    assert jobs(plan(*five, at=limits(), costs=costs(), gap_s=0.01)) == [(1, 2, 3), (4, 5)]


def test_finals_that_save_little_together_run_one_by_one() -> None:
    three = [window(n) for n in range(1, 4)]
    lone = limits(executors=1)
    assert jobs(plan(*three, at=lone, costs=costs(final=(0.5, 0.45)))) == [(1,)]
    assert jobs(plan(*three, at=lone, costs=costs(final=(0.5, 0.1)))) == [(1, 2, 3)]


def test_finals_run_together_until_it_is_known_what_a_common_call_takes() -> None:
    three = [window(n) for n in range(1, 4)]
    alone_only = CostModel([CallTime(kind="final", context_s=15, windows=1, seconds=0.5)])
    assert jobs(plan(*three, at=limits(executors=1), costs=alone_only)) == [(1, 2, 3)]


def test_finals_run_together_where_that_saves_time_for_the_many_that_come_meanwhile() -> None:
    three = [window(n) for n in range(1, 4)]
    saving_some = costs(final=(0.5, 0.4))
    assert jobs(plan(*three, at=limits(executors=1), costs=saving_some, gap_s=3600.0)) == [(1,)]
    assert jobs(plan(*three, at=limits(executors=1), costs=saving_some, gap_s=0.05)) == [(1, 2, 3)]


def test_the_group_that_is_cheapest_per_window_goes_first_while_the_oldest_stays_in_time() -> None:
    waiting = window(1, group=LONG, since=99.9), window(2, since=99.95), window(3, since=99.95)
    quick = costs(final=(0.1, 0.02))
    assert jobs(plan(*waiting, at=limits(executors=1), costs=quick)) == [(2, 3)]
    late = window(1, group=LONG, since=99.7), *waiting[1:]
    assert jobs(plan(*late, at=limits(executors=1), costs=quick)) == [(1,)]


def test_partials_leave_an_executor_free_for_finals_that_are_expected() -> None:
    def starts(*waiting: Waiting, executors: int, running: tuple[Running, ...] = ()) -> list[tuple[int, ...]]:
        return jobs(plan(*waiting, running=running, at=limits(executors=executors), costs=costs(), gap_s=0.9))

    partials = [window(i, "partial") for i in range(1, 4)]
    assert starts(*partials, executors=2) == [(1, 2, 3)]
    assert starts(*partials, executors=3) == [(1, 2), (3,)]
    assert starts(*partials, executors=2, running=(partial_until(100.5),)) == []
    assert starts(window(1, "partial"), window(2, "partial", LONG), executors=2) == [(1,)]


def test_partials_take_every_executor_for_a_moment_when_hardly_any_final_is_expected() -> None:
    busy = (partial_until(100.1),)
    assert jobs(plan(window(1, "partial"), running=busy, at=limits(), costs=costs(), gap_s=10.0)) == [(1,)]
    assert plan(window(1, "partial"), running=busy, at=limits(), costs=costs(), gap_s=3.0) == BatchPlan()
    slow = costs(partial=(0.4, 0.1))
    assert jobs(plan(window(1, "partial"), running=busy, at=limits(), costs=slow, gap_s=10.0)) == []


def test_a_partial_beside_a_running_final_keeps_the_next_final_waiting_for_a_moment_at_most() -> None:
    slow = costs(partial=(0.4, 0.1))
    one = window(1, "partial")
    assert plan(one, running=(final_until(100.75),), at=limits(), costs=slow) == BatchPlan(look_again_at=100.45)
    assert jobs(plan(one, running=(final_until(100.2),), at=limits(), costs=slow)) == [(1,)]


def test_a_call_that_is_late_is_expected_to_take_as_long_again() -> None:
    slow = costs(partial=(0.4, 0.1))
    result = plan(window(1, "partial"), running=(final_until(99.0),), at=limits(), costs=slow)
    assert result == BatchPlan(look_again_at=100.7)


def test_a_single_executor_serves_partials_when_no_final_waits() -> None:
    slow = costs(partial=(0.4, 0.3))
    assert jobs(plan(window(1, "partial"), at=limits(executors=1))) == [(1,)]
    assert jobs(plan(window(1, "partial"), window(2, "partial"), at=limits(executors=1), costs=slow)) == [(1,)]


def test_a_batch_of_partials_on_a_single_executor_is_split_where_it_would_take_too_long() -> None:
    partials = [window(i, "partial") for i in range(1, 5)]
    known = costs(partial=(0.15, 0.1))
    assert jobs(plan(*partials, at=limits(executors=1), costs=known)) == [(1, 2)]
    assert jobs(plan(*partials, at=limits(executors=1, partial_hold_s=1.0), costs=known)) == [(1, 2, 3, 4)]


def test_on_a_slow_single_executor_partials_run_together_where_further_ones_add_little() -> None:
    partials = [window(i, "partial") for i in range(1, 5)]
    slow = costs(partial=(0.4, 0.08))
    assert jobs(plan(*partials, at=limits(executors=1), costs=slow)) == [(1, 2, 3)]


def test_each_final_that_is_being_prepared_keeps_an_executor_free_of_partials() -> None:
    partials = window(1, "partial"), window(2, "partial", LONG)
    assert jobs(plan(*partials, at=limits(executors=1), to_come=1)) == []
    assert jobs(plan(*partials, at=limits(executors=3))) == [(1,), (2,)]
    assert jobs(plan(*partials, at=limits(executors=3), to_come=2)) == [(1,)]


def test_no_free_executor_runs_nothing() -> None:
    busy = final_until(101.0), partial_until(101.0)
    assert jobs(plan(window(1), window(2, "partial"), running=busy, at=limits(executors=2))) == []


ALIKE = costs(final=(0.1, 0.01), partial=(0.1, 0.01))
"""As on a GPU: a further window costs little."""
SOON_S = 0.01


def test_a_batch_that_is_not_full_waits_for_company_where_a_further_window_costs_little() -> None:
    pair = window(1, since=99.99), window(2, since=99.995)
    at = limits(executors=1, max_wait_s=0.02)
    assert plan(*pair, at=at, costs=ALIKE, gap_s=SOON_S) == BatchPlan(look_again_at=99.99 + 0.02)
    assert jobs(plan(*pair, at=at, costs=costs(), gap_s=SOON_S)) == [(1, 2)]
    assert jobs(plan(*pair, at=at, costs=ALIKE, gap_s=1.0)) == [(1, 2)]


def test_nothing_waits_for_company_while_there_is_another_executor_for_it() -> None:
    at = limits(executors=2, max_wait_s=0.02)
    one = window(1, since=99.99)
    assert jobs(plan(one, at=at, costs=ALIKE, gap_s=SOON_S)) == [(1,)]
    assert jobs(plan(one, running=(final_until(100.005),), at=at, costs=ALIKE, gap_s=SOON_S)) == [(1,)]
    assert jobs(plan(one, running=(final_until(100.5),), at=at, costs=ALIKE, gap_s=SOON_S)) == []


def test_the_wait_ends_after_its_time_or_when_the_batch_is_full() -> None:
    at = limits(executors=1, final_batch=2, max_wait_s=0.02)
    assert jobs(plan(window(1, since=99.9), at=at, costs=ALIKE, gap_s=SOON_S)) == [(1,)]
    full = [window(i, since=99.99) for i in range(1, 3)]
    assert jobs(plan(*full, at=at, costs=ALIKE, gap_s=SOON_S)) == [(1, 2)]


def test_no_final_waits_until_it_is_late() -> None:
    at = limits(executors=1, max_wait_s=10.0)
    result = plan(window(1, since=99.9), at=at, costs=ALIKE, gap_s=SOON_S)
    assert result.look_again_at == pytest.approx(99.9 + 0.5 - 0.13)
    assert jobs(plan(window(1, since=99.6), at=at, costs=ALIKE, gap_s=SOON_S)) == [(1,)]


def test_a_group_that_waits_does_not_hold_up_another() -> None:
    waiting = window(1, since=99.99), window(2, group=LONG, since=99.991), window(3, group=LONG, since=99.992)
    at = limits(executors=1, final_batch=2, max_wait_s=0.02)
    result = plan(*waiting, at=at, costs=ALIKE, gap_s=SOON_S)
    assert result == BatchPlan(batches=(Batch(kind="final", jobs=(2, 3)),), look_again_at=99.99 + 0.02)


def test_the_next_look_is_at_the_earliest_end_of_a_wait() -> None:
    waiting = window(1, group=LONG, since=99.99), window(2, since=99.995)
    at = limits(executors=1, max_wait_s=0.02)
    assert plan(*waiting, at=at, costs=ALIKE, gap_s=SOON_S).look_again_at == 99.99 + 0.02


def test_no_partial_starts_while_a_final_waits_for_company() -> None:
    at = limits(executors=1, max_wait_s=0.02)
    result = plan(window(1, since=99.99), window(2, "partial", since=90), at=at, costs=ALIKE, gap_s=SOON_S)
    assert result.batches == ()


def test_partials_wait_for_company_too_and_hold_up_no_others() -> None:
    waiting = window(1, "partial", since=99.99), window(2, "partial", LONG, since=99.0)
    at = limits(executors=1, max_wait_s=0.02)
    result = plan(*waiting, at=at, costs=ALIKE, gap_s=SOON_S)
    assert result == BatchPlan(batches=(Batch(kind="partial", jobs=(2,)),))
    young = window(2, "partial", LONG, since=99.995)
    result = plan(waiting[0], young, at=at, costs=ALIKE, gap_s=SOON_S)
    assert result == BatchPlan(look_again_at=99.99 + 0.02)


windows = st.lists(
    st.builds(
        Waiting,
        job=st.integers(1, 1000),
        kind=st.sampled_from(["final", "partial"]),
        group=st.sampled_from([SHORT, LONG, Group(15, 7)]),
        since=st.sampled_from([1.0, 2.0, 3.0, 9.99]),
    ),
    max_size=30,
    unique_by=lambda w: w.job,
)
plan_limits = st.builds(
    PlanLimits,
    executors=st.integers(1, 4),
    final_batch=st.integers(1, 5),
    partial_batch=st.integers(1, 5),
    max_wait_s=st.sampled_from([0.0, 0.05]),
)


models = st.sampled_from([FREE, costs(), ALIKE])
gaps = st.sampled_from([0.0, 0.01, 0.3, 3600.0])
calls = st.lists(
    st.builds(Running, kind=st.sampled_from(["final", "partial"]), ends_at=st.sampled_from([9.0, 10.0, 10.1, 11.0])),
    max_size=4,
)


@given(waiting=windows, at=plan_limits, running=calls, model=models, gap_s=gaps, to_come=st.integers(0, 3))
def test_every_plan_keeps_the_rules(
    waiting: list[Waiting], at: PlanLimits, running: list[Running], model: CostModel, gap_s: float, to_come: int
) -> None:
    running = running[: at.executors]
    result = plan(*waiting, now=10.0, running=tuple(running), at=at, costs=model, gap_s=gap_s, to_come=to_come)
    by_job = {w.job: w for w in waiting}
    chosen = [job for batch in result.batches for job in batch.jobs]

    assert len(chosen) == len(set(chosen))
    assert len(result.batches) <= at.executors - len(running)
    for batch in result.batches:
        members = [by_job[job] for job in batch.jobs]
        assert {m.kind for m in members} == {batch.kind}
        assert len({m.group for m in members}) == 1
        assert 1 <= len(members) <= (at.final_batch if batch.kind == "final" else at.partial_batch)
        assert [(m.since, m.job) for m in members] == sorted((m.since, m.job) for m in members)
    if any(batch.kind == "partial" for batch in result.batches):
        assert all(w.job in chosen for w in waiting if w.kind == "final")
        assert len(running) + len(result.batches) + to_come <= at.executors
    if result.look_again_at is not None:
        assert result.look_again_at > 10.0


@given(waiting=windows, at=plan_limits, model=models, gap_s=gaps, permutation=st.randoms(use_true_random=False))
def test_the_order_of_arrival_in_the_input_does_not_matter(
    waiting: list[Waiting], at: PlanLimits, model: CostModel, gap_s: float, permutation: Random
) -> None:
    shuffled = list(waiting)
    permutation.shuffle(shuffled)
    first = plan(*waiting, now=10.0, at=at, costs=model, gap_s=gap_s)
    assert plan(*shuffled, now=10.0, at=at, costs=model, gap_s=gap_s) == first


@given(waiting=windows, at=plan_limits, model=models, gap_s=gaps)
def test_the_oldest_final_runs_at_once_when_it_is_late(
    waiting: list[Waiting], at: PlanLimits, model: CostModel, gap_s: float
) -> None:
    finals = sorted((w.since, w.job) for w in waiting if w.kind == "final" and w.since < 9.0)
    result = plan(*waiting, now=10.0, at=at, costs=model, gap_s=gap_s)
    if finals:
        assert finals[0][1] in result.batches[0].jobs
    if waiting and result.look_again_at is None:
        assert result.batches


@given(waiting=windows, at=plan_limits, model=models, gap_s=gaps)
def test_whatever_waits_is_run_in_the_end(
    waiting: list[Waiting], at: PlanLimits, model: CostModel, gap_s: float
) -> None:
    left = list(waiting)
    for _ in range(len(waiting)):
        result = plan(*left, now=1000.0, at=at, costs=model, gap_s=gap_s)
        done = {job for batch in result.batches for job in batch.jobs}
        left = [w for w in left if w.job not in done]
    assert not left
