"""Finals that are asked for a second time beside the first, and what is called off."""

import pytest

from bus.contract.records import SegmentFailed, TranscriptFinal
from stream_gateway.session.effects import Cancel, Decode, Dropped
from tests.unit.stream_gateway.session.builders import (
    QUIET,
    a_failure,
    a_final_window,
    a_result,
    a_session,
    of_type,
    some_timings,
)
from tests.unit.stream_gateway.session.finals_desk import FinalsDesk


def a_desk(*, workers: int = 2) -> FinalsDesk:
    """A pool of which nothing is known yet: a hedge comes after 5 s, and there is a token for one."""
    desk = FinalsDesk()
    desk.hedging.on_workers({f"w{number}" for number in range(1, workers + 1)})
    return desk


def hedged(desk: FinalsDesk) -> tuple[Decode, Decode]:
    """A final that a worker took at 4.0, and its hedge."""
    first = desk.published(now=4.0)
    assert desk.finals.deadline() == 9.0
    assert desk.settle(8.9) == []
    return first, desk.decode(9.0)


def test_a_final_that_a_worker_has_for_long_is_asked_for_once_more() -> None:
    first, second = hedged(desk := a_desk())

    assert (second.segment, second.window, second.attempt, second.hedge) == (first.segment, first.window, 2, True)
    assert (second.start_sample, second.end_sample) == (first.start_sample, first.end_sample)
    assert desk.settle(15.9) == [], "once"
    assert desk.finals.deadline() == 16.0, "the deadline of the first holds for both"


def test_the_first_answer_wins_and_the_other_attempt_is_called_off() -> None:
    _, second = hedged(desk := a_desk())

    assert desk.finals.on_result(a_result(second, "hello"), 9.5) == [Cancel(1, second.window, "answered")]

    record = desk.stored(9.5).record
    assert isinstance(record, TranscriptFinal)
    assert record.text == "hello"
    assert desk.finals.on_result(a_result(second, "hullo"), 9.6) == [Dropped("final_result", "stale")]


def test_what_a_hedged_final_took_is_no_reason_to_hurry_others() -> None:
    first, _ = hedged(desk := a_desk())
    desk.finals.on_result(a_result(first, timings=some_timings()), 9.5)
    assert not desk.haste.pays(awaited=True, watched=True)


def test_an_answer_that_nobody_hedged_calls_nothing_off() -> None:
    desk = a_desk()
    assert desk.finals.on_result(a_result(desk.published(now=4.0)), 4.5) == []


def test_a_worker_alone_keeps_its_final_until_the_deadline() -> None:
    desk = a_desk(workers=1)
    desk.published(now=4.0)
    assert desk.finals.deadline() == 16.0
    assert desk.settle(15.9) == []


def test_a_final_that_the_broker_gave_to_a_worker_that_never_says_so_is_asked_for_soon() -> None:
    desk = a_desk()
    desk.finals.confirm(a_final_window(), 4.0)
    decode = desk.decode(4.0)
    desk.finals.on_published(decode.segment, decode.window, 4.0)
    desk.finals.on_taken(decode.segment, decode.window, 5.0)
    assert desk.finals.deadline() == 5.75
    second = desk.decode(5.75)
    assert (second.window, second.attempt, second.hedge) == (decode.window, 2, True)


def test_one_worker_is_enough_for_a_final_that_nobody_says_he_has() -> None:
    desk = a_desk(workers=1)
    desk.finals.confirm(a_final_window(), 4.0)
    decode = desk.decode(4.0)
    desk.finals.on_published(decode.segment, decode.window, 4.0)
    desk.finals.on_taken(decode.segment, decode.window, 5.0)
    assert desk.decode(5.75).hedge


def test_a_final_whose_worker_is_gone_is_asked_for_anew_unless_another_says_soon_that_he_has_it() -> None:
    desk = a_desk(workers=1)
    decode = desk.published(now=4.0)
    desk.finals.on_noticed(decode.segment, decode.window, 6.0, held=False)
    assert desk.finals.deadline() == 6.75
    desk.finals.on_noticed(decode.segment, decode.window, 6.5, held=True)
    assert desk.settle(7.0) == []
    desk.finals.on_noticed(decode.segment, decode.window, 8.0, held=False)
    assert desk.decode(8.75).hedge


def test_a_worker_that_speaks_before_the_broker_has_said_that_it_has_the_final_is_believed() -> None:
    desk = a_desk()
    desk.finals.confirm(a_final_window(), 4.0)
    decode = desk.decode(4.0)
    desk.finals.on_noticed(decode.segment, decode.window, 4.0, held=True)
    desk.finals.on_noticed(decode.segment, 99, 4.0, held=True)
    desk.finals.on_published(decode.segment, decode.window, 4.1)
    desk.finals.on_taken(decode.segment, decode.window, 5.0)
    assert desk.finals.deadline() == 10.0


def test_an_attempt_that_is_made_anew_needs_a_worker_of_its_own_to_speak() -> None:
    desk = a_desk()
    desk.published(now=4.0)
    desk.finals.on_bus_back(4.5)
    again = desk.decode(4.5)
    desk.finals.on_published(again.segment, again.window, 4.5)
    desk.finals.on_taken(again.segment, again.window, 5.0)
    assert desk.finals.deadline() == 5.75


def test_of_two_attempts_both_have_to_be_done_before_the_final_is_asked_for_again() -> None:
    desk = a_desk()
    first = desk.published(now=4.0)
    hedge = desk.decode(9.0)
    assert desk.done(hedge, 10.0) == [Dropped("final_result", "other_attempt_goes_on")]
    assert desk.done(first, 11.0) == [Dropped("final_result", "never_came")]
    assert desk.decode(11.0).attempt == 3


def test_a_final_that_waits_in_the_queue_is_not_hedged() -> None:
    desk = a_desk()
    desk.finals.confirm(a_final_window(), 4.0)
    decode = desk.decode(4.0)
    desk.finals.on_published(decode.segment, decode.window, 4.0)
    assert desk.settle(100.0) == []


def test_without_a_token_a_final_is_left_to_its_worker() -> None:
    desk = a_desk()
    assert desk.hedging.spend()
    desk.published(now=4.0)
    assert desk.settle(9.0) == [Dropped("hedge", "over_budget")]
    assert desk.settle(9.1) == []
    assert desk.finals.deadline() == 16.0


def test_the_wait_follows_what_is_usual_in_the_pool() -> None:
    desk = a_desk()
    for segment, answered_at in ((1, 8.1), (2, 8.1)):
        decode = desk.published(segment, start_s=1.0 + 3 * segment, now=4.0)
        desk.finals.on_result(a_result(decode, timings=some_timings()), answered_at)
    assert desk.hedging.wait_s == pytest.approx(4.0), "4.1 s, of which 0.1 s in the broker"


def test_the_failure_of_one_attempt_leaves_the_other_its_chance() -> None:
    first, second = hedged(desk := a_desk())

    assert desk.finals.on_result(a_failure(first), 9.2) == [Dropped("final_result", "other_attempt_goes_on")]
    desk.finals.on_result(a_result(second, "hello"), 9.5)

    assert isinstance(desk.stored(9.5).record, TranscriptFinal)


def test_the_failure_of_both_attempts_is_that_of_the_final() -> None:
    first, second = hedged(desk := a_desk())
    desk.finals.on_result(a_failure(first), 9.2)
    assert desk.finals.on_result(a_failure(second), 9.5) == [Cancel(1, second.window, "answered")]
    assert isinstance(desk.stored(9.5).record, SegmentFailed)


def test_a_final_whose_attempts_both_go_silent_is_asked_for_again_and_not_hedged_again() -> None:
    _, second = hedged(desk := a_desk())
    desk.hedging.on_answer(0.0)

    third = of_type(desk.settle(16.0), Decode)[0]
    desk.take(third, 16.0)

    assert (third.attempt, third.hedge) == (second.attempt + 1, False)
    assert desk.settle(27.9) == []
    desk.finals.on_result(a_failure(third), 27.9)
    assert isinstance(desk.stored(27.9).record, SegmentFailed), "nobody is left to do better"


def test_one_slow_worker_does_not_make_the_pool_lag() -> None:
    _, second = hedged(desk := a_desk())
    desk.finals.on_result(a_result(second, timings=some_timings()), 9.5)
    assert desk.lag.lag_s == 0.0


def test_a_proposal_that_the_broker_never_had_is_not_called_off() -> None:
    desk = a_desk()
    desk.finals.propose(a_final_window(), now=3.2)
    assert desk.finals.withdraw(1) == [Dropped("tentative", "speech_resumed")]


def test_a_proposal_that_was_answered_is_not_called_off() -> None:
    desk = a_desk()
    desk.finals.propose(a_final_window(), now=3.2)
    desk.finals.on_result(a_result(desk.decode(3.2)), 3.4)
    assert desk.finals.withdraw(1) == [Dropped("tentative", "speech_resumed")]


# --- in a session


def test_reports_on_a_hedge_change_nothing_of_the_first_attempt() -> None:
    harness = a_session()
    harness.config.pool.hedging.on_workers({"w1", "w2"})
    first = harness.utterance()
    harness.pass_time(5.1)
    (hedge,) = [one for one in of_type(harness.effects, Decode) if one.hedge]
    assert hedge.window == first.window
    deadline = harness.session.deadline(harness.now)

    assert harness.session.on_published(hedge, harness.now, succeeded=False) == [Dropped("hedge", "unpublished")]
    assert harness.session.on_published(hedge, harness.now, succeeded=True) == []
    assert harness.session.on_taken(hedge, harness.now) == []

    assert harness.session.deadline(harness.now) == deadline
    harness.settle(first)
    harness.hear(QUIET, seconds=0.1)
    assert Cancel(first.segment, first.window, "answered") in harness.effects
