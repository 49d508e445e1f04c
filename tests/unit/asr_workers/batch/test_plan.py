from random import Random

from hypothesis import given
from hypothesis import strategies as st

from asr_workers.batch.plan import Batch, BatchPlan, Group, PlanLimits, Waiting, plan_batch
from bus.contract.work import WindowKind

SHORT, LONG = Group(15, 0), Group(30, 0)


def limits(*, executors: int = 2, final_batch: int = 4, partial_batch: int = 4, max_wait_s: float = 0.0) -> PlanLimits:
    return PlanLimits(executors=executors, final_batch=final_batch, partial_batch=partial_batch, max_wait_s=max_wait_s)


def window(job: int, kind: WindowKind = "final", group: Group = SHORT, since: float | None = None) -> Waiting:
    return Waiting(job=job, kind=kind, group=group, since=float(job) if since is None else since)


def plan(*waiting: Waiting, now: float = 100.0, finals: int = 0, partials: int = 0, at: PlanLimits) -> BatchPlan:
    return plan_batch(waiting, now=now, running_finals=finals, running_partials=partials, limits=at)


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


def test_partials_leave_an_executor_free_for_finals() -> None:
    partials = [window(i, "partial") for i in range(1, 4)]
    assert jobs(plan(*partials, at=limits(executors=2))) == [(1, 2, 3)]
    assert jobs(plan(*partials, partials=1, at=limits(executors=2))) == []
    assert jobs(plan(*partials, at=limits(executors=3))) == [(1, 2), (3,)]


def test_a_single_executor_serves_partials_when_no_final_waits() -> None:
    assert jobs(plan(window(1, "partial"), at=limits(executors=1))) == [(1,)]


def test_no_free_executor_runs_nothing() -> None:
    assert jobs(plan(window(1), finals=1, partials=1, at=limits(executors=2))) == []


def test_a_batch_that_is_not_full_waits_for_company() -> None:
    result = plan(window(1, since=99.99), window(2, since=99.995), at=limits(max_wait_s=0.02))
    assert result == BatchPlan(look_again_at=99.99 + 0.02)


def test_the_wait_ends_after_its_time_or_when_the_batch_is_full() -> None:
    assert jobs(plan(window(1, since=99.9), at=limits(max_wait_s=0.02))) == [(1,)]
    full = [window(i, since=99.99) for i in range(1, 3)]
    assert jobs(plan(*full, at=limits(executors=1, final_batch=2, max_wait_s=0.02))) == [(1, 2)]


def test_a_group_that_waits_does_not_hold_up_another() -> None:
    waiting = window(1, group=LONG, since=99.99), window(2, since=99.991), window(3, since=99.992)
    result = plan(*waiting, at=limits(executors=1, final_batch=2, max_wait_s=0.02))
    assert result == BatchPlan(batches=(Batch(kind="final", jobs=(2, 3)),), look_again_at=99.99 + 0.02)


def test_the_next_look_is_at_the_earliest_end_of_a_wait() -> None:
    waiting = window(1, group=LONG, since=99.99), window(2, since=99.995)
    assert plan(*waiting, at=limits(max_wait_s=0.02)).look_again_at == 99.99 + 0.02


def test_no_partial_starts_while_a_final_waits_for_company() -> None:
    result = plan(window(1, since=99.99), window(2, "partial", since=90), at=limits(max_wait_s=0.02))
    assert result.batches == ()


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


@given(waiting=windows, at=plan_limits, finals=st.integers(0, 4), partials=st.integers(0, 4))
def test_every_plan_keeps_the_rules(waiting: list[Waiting], at: PlanLimits, finals: int, partials: int) -> None:
    result = plan(*waiting, now=10.0, finals=finals, partials=partials, at=at)
    by_job = {w.job: w for w in waiting}
    chosen = [job for batch in result.batches for job in batch.jobs]
    free = max(0, at.executors - finals - partials)

    assert len(chosen) == len(set(chosen))
    assert len(result.batches) <= free
    for batch in result.batches:
        members = [by_job[job] for job in batch.jobs]
        assert {m.kind for m in members} == {batch.kind}
        assert len({m.group for m in members}) == 1
        assert 1 <= len(members) <= (at.final_batch if batch.kind == "final" else at.partial_batch)
        assert [(m.since, m.job) for m in members] == sorted((m.since, m.job) for m in members)
    started_partials = sum(batch.kind == "partial" for batch in result.batches)
    if started_partials:
        assert all(w.job in chosen for w in waiting if w.kind == "final")
        assert started_partials + partials <= max(1, at.executors - 1)


@given(waiting=windows, at=plan_limits, permutation=st.randoms(use_true_random=False))
def test_the_order_of_arrival_in_the_input_does_not_matter(
    waiting: list[Waiting], at: PlanLimits, permutation: Random
) -> None:
    shuffled = list(waiting)
    permutation.shuffle(shuffled)
    assert plan(*waiting, now=10.0, at=at) == plan(*shuffled, now=10.0, at=at)


@given(waiting=windows, at=plan_limits)
def test_the_oldest_final_always_runs_or_waits_for_company(waiting: list[Waiting], at: PlanLimits) -> None:
    finals = sorted((w.since, w.job) for w in waiting if w.kind == "final")
    result = plan(*waiting, now=10.0, at=at)
    if finals and result.look_again_at is None:
        assert finals[0][1] in result.batches[0].jobs
    if waiting and result.look_again_at is None:
        assert result.batches


@given(waiting=windows, at=plan_limits)
def test_whatever_waits_is_run_in_the_end(waiting: list[Waiting], at: PlanLimits) -> None:
    left = list(waiting)
    for _ in range(len(waiting)):
        done = {job for batch in plan(*left, now=1000.0, at=at).batches for job in batch.jobs}
        left = [w for w in left if w.job not in done]
    assert not left
