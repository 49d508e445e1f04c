import pytest

from asr_workers.batch.costs import CallTime, CostModel
from asr_workers.batch.plan import Batch, Group, PlanLimits
from asr_workers.batch.scheduler import Arrival, Scheduler
from bus.contract.work import WindowKind

SHORT = Group(15, 0)


def scheduler(
    *, executors: int = 2, finals_held: int = 3, partials_held: int = 2, costs: CostModel | None = None
) -> Scheduler:
    limits = PlanLimits(executors=executors, final_batch=4, partial_batch=4)
    return Scheduler(limits, finals_held=finals_held, partials_held=partials_held, costs=costs)


def arrival(
    job: int, kind: WindowKind = "final", *, session: str = "s", segment: int = 1, window: int | None = None
) -> Arrival:
    return Arrival(job=job, kind=kind, session=session, segment=segment, window=window or job, since=float(job))


def test_room_shrinks_with_what_is_held_and_returns_when_it_runs() -> None:
    jobs = scheduler()
    jobs.admit(arrival(1))
    jobs.admit(arrival(2, session="t"))
    assert (jobs.room("final"), jobs.room("partial")) == (1, 2)
    jobs.prepared(1, SHORT)
    assert jobs.room("final") == 1
    jobs.plan(now=10.0)
    assert jobs.room("final") == 2
    assert jobs.running() == 1


def test_a_job_runs_only_after_it_is_prepared() -> None:
    jobs = scheduler()
    jobs.admit(arrival(1))
    assert jobs.plan(now=10.0).batches == ()
    jobs.prepared(1, SHORT)
    assert jobs.plan(now=10.0).batches == (Batch(kind="final", jobs=(1,)),)
    assert jobs.plan(now=10.0).batches == ()


def test_a_finished_batch_frees_its_executor() -> None:
    jobs = scheduler(executors=1)
    for job in (1, 2):
        jobs.admit(arrival(job, session=str(job)))
    jobs.prepared(1, SHORT)
    (batch,) = jobs.plan(now=10.0).batches
    jobs.prepared(2, SHORT)
    assert jobs.plan(now=10.0).batches == ()
    jobs.finish(batch)
    jobs.remove(1)
    assert jobs.plan(now=10.0).batches == (Batch(kind="final", jobs=(2,)),)
    assert jobs.running() == 1


def test_a_job_that_goes_again_keeps_its_age() -> None:
    jobs = scheduler(executors=1)
    jobs.admit(arrival(1))
    jobs.prepared(1, SHORT)
    (batch,) = jobs.plan(now=10.0).batches
    jobs.admit(arrival(2, session="t"))
    jobs.prepared(2, SHORT)
    jobs.finish(batch)
    jobs.again(1, Group(30, 0))
    assert jobs.plan(now=10.0).batches == (Batch(kind="final", jobs=(1,)),)


def test_a_newer_partial_of_a_session_replaces_the_waiting_one() -> None:
    jobs = scheduler()
    assert jobs.admit(arrival(1, "partial")) == ()
    jobs.prepared(1, SHORT)
    assert jobs.admit(arrival(2, "partial", session="t")) == ()
    assert jobs.admit(arrival(3, "partial")) == (1,)
    assert jobs.held("partial") == 2


def test_a_partial_older_than_the_waiting_one_is_itself_stale() -> None:
    jobs = scheduler()
    jobs.admit(arrival(1, "partial", window=7))
    assert jobs.admit(arrival(2, "partial", window=6)) == (2,)


def test_a_running_partial_is_not_replaced() -> None:
    jobs = scheduler()
    jobs.admit(arrival(1, "partial"))
    jobs.prepared(1, SHORT)
    jobs.plan(now=10.0)
    assert jobs.admit(arrival(2, "partial")) == ()


def test_a_final_makes_the_waiting_partial_of_its_segment_stale() -> None:
    jobs = scheduler()
    jobs.admit(arrival(1, "partial", segment=1))
    assert jobs.admit(arrival(2, segment=2)) == ()
    assert jobs.admit(arrival(3, segment=1)) == (1,)


def test_finals_never_replace_each_other() -> None:
    jobs = scheduler()
    jobs.admit(arrival(1))
    assert jobs.admit(arrival(2)) == ()


def test_withdrawal_takes_all_but_what_runs() -> None:
    jobs = scheduler()
    for job in (1, 2, 3):
        jobs.admit(arrival(job, session=str(job)))
    jobs.prepared(1, SHORT)
    jobs.plan(now=10.0)
    jobs.prepared(2, SHORT)
    assert jobs.withdraw() == (2, 3)
    assert (jobs.held("final"), jobs.running()) == (0, 1)


def test_news_of_a_forgotten_job_is_ignored() -> None:
    jobs = scheduler()
    jobs.admit(arrival(1))
    jobs.withdraw()
    jobs.prepared(1, SHORT)
    jobs.remove(1)
    assert jobs.plan(now=10.0).batches == ()


@pytest.mark.parametrize("kind", ["final", "partial"])
def test_room_is_never_negative(kind: WindowKind) -> None:
    jobs = scheduler(finals_held=1, partials_held=1)
    for job in (1, 2):
        jobs.admit(arrival(job, kind, session=str(job)))
    assert jobs.room(kind) == 0


def test_finished_calls_are_learnt_from_unless_they_failed() -> None:
    jobs = scheduler(executors=1)
    for job in (1, 2):
        jobs.admit(arrival(job, session=str(job)))
        jobs.prepared(job, SHORT)
        (batch,) = jobs.plan(now=10.0).batches
        jobs.finish(batch, took_s=0.25 if job == 1 else None)
        jobs.remove(job)
    (cost,) = jobs.learnt()
    assert (cost.kind, cost.context_s, cost.first_s) == ("final", 15, 0.25)


def test_a_partial_waits_while_the_features_of_a_final_are_computed() -> None:
    jobs = scheduler(executors=1)
    jobs.admit(arrival(1, "partial"))
    jobs.prepared(1, SHORT)
    jobs.admit(arrival(2, session="t"))
    assert jobs.plan(now=10.0).batches == ()
    jobs.prepared(2, SHORT)
    assert jobs.plan(now=10.0).batches == (Batch(kind="final", jobs=(2,)),)


def test_a_partial_beside_a_final_that_runs_starts_when_that_is_about_to_end() -> None:
    slow = CostModel(CallTime(kind="final", context_s=15, windows=1, seconds=0.8) for _ in range(2))
    jobs = scheduler(costs=slow)
    jobs.admit(arrival(1, session="t"))
    jobs.prepared(1, SHORT)
    jobs.plan(now=10.0)
    jobs.admit(arrival(2, "partial"))
    jobs.prepared(2, SHORT)
    plan = jobs.plan(now=10.1)
    assert plan.batches == ()
    assert plan.look_again_at == pytest.approx(10.5)
    assert jobs.plan(now=10.7).batches == (Batch(kind="partial", jobs=(2,)),)


def test_how_often_finals_come_decides_whether_partials_may_take_all_executors() -> None:
    known = CostModel([CallTime(kind="partial", context_s=15, windows=1, seconds=0.1)])

    def starts(gap_s: float) -> int:
        jobs = scheduler(costs=known)
        for job in range(1, 4):
            jobs.admit(Arrival(job=job, kind="final", session="f", segment=job, window=job, since=job * gap_s))
            jobs.prepared(job, SHORT)
            jobs.remove(job)
        for job, context_s in ((11, 15), (12, 8)):
            jobs.admit(arrival(job, "partial", session=str(job)))
            jobs.prepared(job, Group(context_s, 0))
        return len(jobs.plan(now=3 * gap_s).batches)

    assert (starts(gap_s=4.0), starts(gap_s=0.5)) == (2, 1)
