"""What is tried again: publishes, windows without an answer, stores; and how long work may queue."""

import msgspec
import pytest

from bus.contract.records import SegmentFailed, TranscriptFinal
from stream_gateway.session.effects import Decode, Dropped, Store
from tests.unit.stream_gateway.session.builders import a_failure, a_final_window, a_result, of_type, some_timings
from tests.unit.stream_gateway.session.finals_desk import RETRY, FinalsDesk


def test_a_publish_that_failed_is_repeated_under_the_same_id_with_growing_waits() -> None:
    desk = FinalsDesk()
    desk.finals.confirm(a_final_window(), now=3.6)
    first = desk.decode(3.6)
    now, waits = 3.6, []
    for _ in range(6):
        assert desk.finals.on_publish_failed(1, first.window, now) == [Dropped("final_publish", "failed")]
        due = desk.finals.deadline()
        assert due is not None
        assert desk.settle(due - 0.001) == []
        assert desk.decode(due) == first
        waits.append(round(due - now, 3))
        now = due

    assert waits == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]


def test_a_success_forgets_earlier_publish_failures() -> None:
    desk = FinalsDesk()
    desk.finals.confirm(a_final_window(), now=0.0)
    decode = desk.decode(0.0)
    desk.finals.on_publish_failed(1, decode.window, 0.0)
    desk.take(desk.decode(0.25), 0.25)

    again = desk.decode(12.25)
    desk.finals.on_publish_failed(1, again.window, 12.25)

    assert desk.finals.deadline() == 12.5


def test_reports_that_nobody_waits_for_change_nothing() -> None:
    desk = FinalsDesk()
    decode = desk.published(now=3.6)

    desk.finals.on_published(1, decode.window, 9.0)
    desk.finals.on_taken(1, decode.window, 9.0)
    assert desk.finals.on_publish_failed(1, decode.window, 9.0) == []

    assert desk.finals.deadline() == 15.6


def test_a_missed_answer_is_asked_for_again_as_a_new_attempt_and_either_answer_will_do() -> None:
    desk = FinalsDesk()
    first = desk.published(now=3.6)
    assert desk.finals.deadline() == 15.6

    effects = desk.settle(15.6)

    (again,) = of_type(effects, Decode)
    assert Dropped("final_deadline", "missed") in effects
    assert (again.window, again.attempt) == (first.window, 2)
    assert desk.finals.on_result(a_result(first), 15.7) == []
    assert of_type(desk.settle(15.7), Store)


def test_too_many_misses_fail_the_segment_and_not_the_session() -> None:
    desk = FinalsDesk()
    desk.published(now=0.0)
    for missed_at in (12.0, 24.0):
        assert desk.settle(missed_at - 0.1) == []
        desk.take(desk.decode(missed_at), missed_at)

    effects = desk.settle(36.0)

    assert of_type(effects, Decode) == []
    (store,) = of_type(effects, Store)
    assert isinstance(store.record, SegmentFailed)
    assert "3 attempts" in store.record.message


def test_a_final_that_no_worker_has_taken_is_not_late_however_long_the_queue() -> None:
    desk = FinalsDesk()
    desk.finals.confirm(a_final_window(), now=0.0)
    decode = desk.decode(0.0)
    desk.finals.on_published(1, decode.window, 0.0)
    for later in range(0, 600, 10):
        assert desk.settle(float(later)) == []

    desk.finals.on_taken(1, decode.window, 600.0)
    assert desk.settle(611.9) == []
    assert desk.decode(612.0).attempt == 2


def test_a_final_that_expired_in_the_queue_is_published_anew_and_counts_no_miss() -> None:
    desk = FinalsDesk()
    desk.workers_alive = False
    desk.finals.confirm(a_final_window(), now=0.0)
    for attempt in range(1, 8):
        now = desk.finals.deadline() or 0.0
        effects = desk.settle(now)
        (decode,) = of_type(effects, Decode)
        assert decode.attempt == attempt
        assert effects[:-1] == ([Dropped("final_queue", "expired")] if attempt > 1 else [])
        desk.finals.on_published(1, decode.window, now)
        assert desk.finals.deadline() == now + RETRY.max_queued_s


def test_of_a_burst_only_a_few_finals_are_with_the_broker_and_the_rest_follows_as_they_are_answered() -> None:
    desk = FinalsDesk()
    for segment in range(1, 8):
        desk.finals.confirm(a_final_window(segment, start_s=3.0 * segment, end_s=3.0 * segment + 2.0), now=30.0)

    sent = of_type(desk.settle(30.0), Decode)
    assert [decode.segment for decode in sent] == [1, 2, 3, 4]
    for decode in sent:
        desk.take(decode, 30.0)
    assert desk.settle(31.0) == []
    assert desk.finals.deadline() == 42.0

    desk.finals.on_result(a_result(sent[1]), 31.0)
    assert [decode.segment for decode in of_type(desk.settle(31.0), Decode)] == [5]


def test_nothing_counts_as_missed_while_no_worker_is_alive() -> None:
    desk = FinalsDesk()
    desk.published(now=0.0)
    desk.workers_alive = False

    for round_ in range(1, 10):
        assert desk.settle(12.0 * round_) == []

    desk.workers_alive = True
    assert desk.finals.deadline() == 120.0
    assert of_type(desk.settle(120.0), Decode)[0].attempt == 2


def test_a_failed_store_is_repeated_unchanged_for_as_long_as_it_takes() -> None:
    desk = FinalsDesk()
    decode = desk.published()
    desk.finals.on_result(a_result(decode), 4.0)
    first = desk.stored(4.0)
    now = 4.0
    for _ in range(20):
        desk.finals.on_store_failed(1, now)
        due = desk.finals.deadline()
        assert due is not None
        assert 0 < due - now <= RETRY.max_backoff_s
        assert desk.settle(due - 0.001) == []
        assert desk.stored(due) == first
        now = due


def test_an_answered_final_behind_one_whose_store_failed_sets_no_timer() -> None:
    desk = FinalsDesk()
    decodes = [desk.published(1, start_s=1.0, now=7.0), desk.published(2, start_s=4.0, now=7.0)]
    for decode in decodes:
        desk.finals.on_result(a_result(decode), 7.0)
    desk.stored(7.0)
    desk.finals.on_store_failed(1, 7.0)
    desk.settle(7.0)

    assert desk.finals.deadline() == 7.25


def test_a_store_that_keeps_failing_does_not_hold_up_other_channels() -> None:
    desk = FinalsDesk()
    for decode in [desk.published(1, channel=0), desk.published(2, channel=1)]:
        desk.finals.on_result(a_result(decode), 4.0)
    assert desk.stored(4.0).record.segment == 1

    desk.finals.on_store_failed(1, 4.0)

    assert desk.stored(4.0).record.segment == 2


def test_a_bus_that_is_back_gets_unanswered_work_again_and_owed_records_at_once() -> None:
    desk = FinalsDesk()
    in_broker = desk.published(1, start_s=1.0)
    waiting = a_final_window(2, channel=1)
    desk.finals.confirm(waiting, 4.0)
    desk.finals.on_publish_failed(2, desk.decode(4.0).window, 4.0)
    answered = desk.published(3, channel=2)
    desk.finals.on_result(a_result(answered), 4.0)
    desk.stored(4.0)
    desk.finals.on_store_failed(3, 4.0)

    desk.finals.on_bus_back(4.1)

    effects = desk.settle(4.1)
    assert [(one.segment, one.attempt) for one in of_type(effects, Decode)] == [(1, in_broker.attempt + 1), (2, 1)]
    assert [one.record.segment for one in of_type(effects, Store)] == [3]


# --- what finals tell of the pool


def test_a_final_that_waited_makes_the_pool_lag_by_its_wait_without_the_work_on_it() -> None:
    desk = FinalsDesk()
    decode = desk.published(now=3.6)
    desk.finals.on_result(a_result(decode, timings=some_timings()), 6.8)
    assert desk.lag.lag_s == pytest.approx(3.2 - 1.2)


def test_without_its_timings_the_whole_round_trip_of_a_final_counts_as_its_wait() -> None:
    desk = FinalsDesk()
    desk.finals.on_result(a_result(desk.published(now=3.6)), 5.6)
    assert desk.lag.lag_s == pytest.approx(2.0)


def test_an_answer_that_overtakes_the_brokers_and_a_failure_tell_nothing_of_the_pool() -> None:
    desk = FinalsDesk()
    desk.finals.confirm(a_final_window(1), 3.6)
    desk.finals.on_result(a_result(desk.decode(3.6)), 9.0)
    decode = desk.published(2, start_s=5.0, now=9.0)
    desk.finals.on_result(a_failure(decode), 19.0)
    assert desk.lag.lag_s == 0.0


def test_a_missed_final_makes_the_pool_lag() -> None:
    desk = FinalsDesk()
    desk.published(now=3.6)
    desk.settle(3.6 + 12.0)
    assert desk.lag.partials_stopped


def test_a_final_that_one_worker_gives_up_is_asked_for_again_until_another_one_answers() -> None:
    desk = FinalsDesk()
    desk.hedging.on_workers({"w1", "w2"})
    first = desk.published(now=4.0)
    gives_up = msgspec.structs.replace(a_failure(first), worker="w1")
    now = 5.0
    for attempt, wait_s in ((2, 0.25), (3, 0.5), (4, 1.0)):
        assert desk.finals.on_result(gives_up, now) == [Dropped("final_result", "failed_by_one")]
        now += wait_s
        again = desk.decode(now)
        assert (again.window, again.attempt, again.hedge) == (first.window, attempt, False)
        desk.take(again, now)
    desk.finals.on_result(a_result(first), now)
    assert isinstance(desk.stored(now).record, TranscriptFinal)


def test_a_final_that_two_workers_give_up_has_failed() -> None:
    desk = FinalsDesk()
    desk.hedging.on_workers({"w1", "w2", "w3"})
    failure = a_failure(desk.published(now=4.0))
    desk.finals.on_result(msgspec.structs.replace(failure, worker="w1"), 5.0)
    desk.take(desk.decode(5.25), 5.25)
    assert desk.finals.on_result(msgspec.structs.replace(failure, worker="w2"), 6.0) == []
    assert isinstance(desk.stored(6.0).record, SegmentFailed)


def test_a_final_that_only_ever_gets_to_a_worker_that_cannot_decode_it_fails_in_the_end() -> None:
    desk = FinalsDesk()
    desk.hedging.on_workers({"w1", "w2"})
    gives_up = msgspec.structs.replace(a_failure(desk.published(now=4.0)), worker="w1")
    for _ in range(3):
        desk.finals.on_result(gives_up, 5.0)
        desk.take(desk.decode(9.0), 9.0)
    assert desk.finals.on_result(gives_up, 10.0) == []
    assert isinstance(desk.stored(10.0).record, SegmentFailed)


def test_the_worker_that_gave_a_final_up_may_be_gone_and_the_one_that_is_left_be_another() -> None:
    desk = FinalsDesk()
    desk.hedging.on_workers({"w2"})
    desk.finals.on_result(msgspec.structs.replace(a_failure(desk.published(now=4.0)), worker="w1"), 5.0)
    assert desk.decode(5.25).attempt == 2


def test_a_final_that_a_worker_is_done_with_and_has_not_answered_is_asked_for_again() -> None:
    desk = FinalsDesk()
    first = desk.published(now=4.0)
    assert desk.done(first, 6.0) == [Dropped("final_result", "never_came")]
    again = desk.decode(6.0)
    assert (again.window, again.attempt, again.hedge) == (first.window, 2, False)
    assert desk.done(first, 6.5) == []


def test_a_worker_that_never_answers_what_it_is_done_with_is_found_out_by_the_deadline_in_the_end() -> None:
    desk = FinalsDesk()
    decode = desk.published(now=4.0)
    for _ in range(4):
        assert desk.done(decode, 6.0)
        decode = desk.decode(6.0)
        desk.take(decode, 6.0)
    assert desk.done(decode, 7.0) == []
    assert desk.finals.deadline() == 18.0


def test_what_is_answered_or_still_queues_is_not_asked_for_again_for_being_done() -> None:
    desk = FinalsDesk()
    answered = desk.published(now=4.0)
    desk.finals.on_result(a_result(answered), 5.0)
    assert desk.done(answered, 6.0) == []
    desk.finals.confirm(a_final_window(2, start_s=5.0, end_s=7.0), 8.0)
    (queued,) = of_type(desk.settle(8.0), Decode)
    desk.finals.on_published(queued.segment, queued.window, 8.0)
    assert desk.done(queued, 9.0) == []
    stored = msgspec.structs.replace(a_result(answered), segment=9)
    assert desk.finals.on_done(stored.segment, stored.window, 1, 9.0) == []


@pytest.mark.parametrize(("workers", "worker"), [(1, "w1"), (2, "")])
def test_a_final_fails_at_once_if_nobody_else_is_there_or_it_has_killed_its_workers(workers: int, worker: str) -> None:
    desk = FinalsDesk()
    desk.hedging.on_workers({f"w{number}" for number in range(1, workers + 1)})
    desk.finals.on_result(msgspec.structs.replace(a_failure(desk.published(now=4.0)), worker=worker), 5.0)
    assert isinstance(desk.stored(5.0).record, SegmentFailed)
