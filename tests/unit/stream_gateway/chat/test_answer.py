"""One answer over several attempts: nothing twice, nothing missing, whatever becomes of its workers."""

import pytest

from bus.contract import chat_work as work
from stream_gateway.chat.options import AnswerPatience
from stream_gateway.session import events
from stream_gateway.session.effects import Effect
from tests.unit.stream_gateway.chat.desk import Desk


def asked(**options: object) -> Desk:
    desk = Desk(**options)  # type: ignore[arg-type]
    desk.say("hello")
    return desk


def test_pieces_are_shown_as_they_come_and_done_tells_all() -> None:
    desk = asked()
    desk.taken()
    desk.pass_time(1.0)
    desk.delta(1, "Hel")
    desk.pass_time(2.0)
    desk.delta(2, "lo")
    desk.done(2)

    (done,) = desk.events(events.ChatDone)
    assert (desk.shown(), done.text, done.finish_reason, done.model) == ("Hello", "Hello", "stop", "smollm2")
    assert (done.times.first_delta_s, done.times.total_s, done.times.queue_s) == (1.0, 3.0, 0.25)
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.cached_tokens) == (11, 5, 4)
    assert desk.chat.deadline() is None


def test_an_answer_without_a_piece_is_done_too() -> None:
    desk = asked()
    desk.taken()
    desk.now += 1.0
    desk.done(0, reason="length")
    (done,) = desk.events(events.ChatDone)
    assert (done.text, done.finish_reason, done.times.first_delta_s) == ("", "length", 1.0)


def test_when_its_worker_dies_another_goes_on_after_what_was_shown() -> None:
    desk = asked(workers=("w1", "w2"), max_tokens=100)
    desk.taken("w1")
    desk.delta(1, "Hello th")
    desk.alive.discard("w1")
    desk.pass_time(2.5)

    again = desk.asks()[-1]
    assert (again.attempt, again.prefill, again.max_tokens) == (2, "Hello th", 98)
    assert [ask.is_continuation for ask in desk.asks()] == [False, True]
    assert desk.stops() == [(1, 1)]
    desk.taken("w2")
    desk.delta(1, "ere")
    desk.done(1, worker="w2")
    assert desk.events(events.ChatDone)[0].text == desk.shown() == "Hello there"


def test_what_still_comes_of_an_earlier_attempt_is_ignored() -> None:
    desk = asked(workers=("w1", "w2"))
    desk.taken("w1")
    desk.delta(1, "one")
    desk.failed(work.LEAVING)
    desk.delta(2, "TWO", attempt=1)
    desk.done(2, attempt=1)
    desk.taken("w2")
    desk.delta(1, " two")
    desk.done(1)
    assert desk.shown() == "one two"


def test_a_piece_that_came_twice_is_shown_once_and_one_that_is_missing_is_asked_for_again() -> None:
    desk = asked()
    desk.taken()
    desk.delta(1, "one")
    desk.delta(1, "one")
    assert desk.shown() == "one"
    desk.delta(3, "three")
    assert (desk.asks()[-1].attempt, desk.asks()[-1].prefill) == (2, "one")
    desk.taken()
    desk.done(1)
    assert (desk.asks()[-1].attempt, desk.asks()[-1].prefill) == (3, "one"), "its only piece is missing"


def test_pieces_are_taken_from_a_worker_whose_first_word_was_lost() -> None:
    desk = asked()
    desk.delta(1, "Hello")
    desk.pass_time(1.0)
    desk.done(1)
    assert desk.events(events.ChatDone)[0].text == "Hello"


def test_a_worker_that_falls_silent_is_given_up() -> None:
    desk = asked(patience=AnswerPatience(stall_s=5.0))
    desk.taken()
    desk.pass_time(4.9)
    assert len(desk.asks()) == 1
    desk.pass_time(0.4)
    assert desk.asks()[-1].attempt == 2


def test_failures_that_another_worker_may_not_have_are_tried_again_after_a_while_and_not_for_ever() -> None:
    desk = asked(patience=AnswerPatience(max_failures=2, backoff_s=1.0))
    for attempt, wait_s in ((1, 1.0), (2, 2.0)):
        desk.taken()
        desk.failed("chat_failed")
        assert desk.asks()[-1].attempt == attempt, "not at once"
        desk.pass_time(wait_s)
        assert desk.asks()[-1].attempt == attempt + 1
    desk.taken()
    desk.failed("chat_failed")
    (failed,) = desk.events(events.ChatFailed)
    assert (failed.error.code, failed.error.retryable) == ("chat_failed", True)
    assert desk.chat.is_idle


@pytest.mark.parametrize(
    ("code", "shown"),
    [("chat_failed", "chat_failed"), ("unknown_model", "unknown_model"), ("invalid_message", "invalid_message")],
)
def test_a_failure_that_no_worker_could_help_ends_the_answer(code: str, shown: str) -> None:
    desk = asked()
    desk.taken()
    desk.delta(1, "Hel")
    desk.failed(code, retryable=False, message="the conversation does not fit")
    (failed,) = desk.events(events.ChatFailed)
    assert (failed.text, failed.error.code, failed.error.message) == ("Hel", shown, "the conversation does not fit")


def test_without_a_worker_the_client_is_told_at_once() -> None:
    desk = asked(workers=())
    (failed,) = desk.events(events.ChatFailed)
    assert (failed.error.code, failed.error.retryable) == ("no_worker", True)


def test_a_turn_that_comes_while_the_workers_were_not_heard_for_a_while_waits_for_them_and_says_so() -> None:
    desk = Desk(patience=AnswerPatience(revive_s=10.0))
    desk.pass_time(1.0)
    desk.alive.clear()
    desk.pass_time(4.0)
    desk.say("hello")
    assert [fault.error.code for fault in desk.events(events.Fault)] == ["no_worker"]
    assert desk.events(events.ChatFailed) == []
    desk.alive.add("w1")
    desk.beat()
    desk.pass_time(0.5)
    desk.taken("w1")
    desk.delta(1, "one")
    desk.done(1)
    assert desk.shown() == "one"


def test_a_turn_that_comes_long_after_the_last_worker_went_fails_at_once() -> None:
    desk = Desk(patience=AnswerPatience(revive_s=10.0))
    desk.pass_time(1.0)
    desk.alive.clear()
    desk.pass_time(13.0)
    desk.say("hello")
    assert [failed.error.code for failed in desk.events(events.ChatFailed)] == ["no_worker"]


def test_an_unknown_model_is_told_with_those_there_are() -> None:
    desk = asked(model="nonesuch")
    (failed,) = desk.events(events.ChatFailed)
    assert "available: smollm2" in failed.error.message
    assert desk.events(events.ChatStarted)[0].model == "nonesuch"


def test_an_answer_that_lost_its_last_worker_waits_for_one_to_come_up_and_says_so_once() -> None:
    desk = asked(patience=AnswerPatience(revive_s=10.0))
    desk.taken()
    desk.delta(1, "one")
    desk.alive.clear()
    desk.pass_time(6.0)
    assert [fault.error.code for fault in desk.events(events.Fault)] == ["no_worker"]
    desk.alive.add("w2")
    desk.beat()
    desk.pass_time(0.5)
    desk.taken("w2")
    desk.delta(1, " two")
    desk.done(1, worker="w2")
    assert desk.shown() == "one two"


def test_it_does_not_wait_for_a_worker_for_ever() -> None:
    desk = asked(patience=AnswerPatience(revive_s=10.0))
    desk.taken()
    desk.alive.clear()
    desk.pass_time(13.0)
    assert [failed.error.code for failed in desk.events(events.ChatFailed)] == ["no_worker"]


def test_a_request_that_nobody_has_time_for_is_given_up() -> None:
    desk = asked(patience=AnswerPatience(queued_s=5.0))
    desk.pass_time(5.5)
    assert [failed.error.code for failed in desk.events(events.ChatFailed)] == ["chat_failed"]
    assert desk.stops() == [(1, 1)]


def test_a_queued_request_whose_workers_all_went_waits_for_others() -> None:
    desk = asked()
    desk.alive.clear()
    desk.pass_time(3.0)
    assert [fault.error.code for fault in desk.events(events.Fault)] == ["no_worker"]
    desk.alive.add("w2")
    desk.beat()
    desk.pass_time(0.5)
    assert desk.asks()[-1].attempt == 2


def test_a_request_that_the_broker_does_not_take_is_published_again() -> None:
    desk = Desk()
    desk.asks_succeed = False
    desk.say("hello")
    desk.asks_succeed = True
    desk.pass_time(1.0)
    assert [ask.attempt for ask in desk.asks()] == [1, 2]
    assert desk.do(lambda: desk.chat.on_asked(1, 1, desk.now, succeeded=False)) == [], "known already"


def test_that_the_broker_takes_no_request_for_a_while_is_no_failure_of_the_answer() -> None:
    desk = Desk(patience=AnswerPatience(queued_s=30.0, resend_s=0.5))
    desk.asks_succeed = False
    desk.say("hello")
    desk.pass_time(25.0)
    assert len(desk.asks()) == 51
    desk.asks_succeed = True
    desk.pass_time(0.5)
    desk.answered("one")
    assert desk.shown() == "one"


def test_an_answer_that_cannot_be_asked_for_fails_in_the_end() -> None:
    desk = Desk(patience=AnswerPatience(queued_s=30.0))
    desk.asks_succeed = False
    desk.say("hello")
    desk.pass_time(31.0)
    assert [failed.error.code for failed in desk.events(events.ChatFailed)] == ["chat_failed"]


def test_a_request_that_the_broker_gives_up_is_made_again() -> None:
    desk = asked()
    desk.do(lambda: desk.chat.on_given_up(1, 1, desk.now))
    assert desk.asks()[-1].attempt == 2
    assert desk.do(lambda: desk.chat.on_given_up(1, 1, desk.now)) == [], "an earlier attempt"


def test_after_an_outage_of_the_bus_the_answer_goes_on_where_the_client_is() -> None:
    desk = asked()
    desk.taken()
    desk.delta(1, "one")
    desk.do(lambda: desk.chat.on_bus(desk.now, connected=False))
    assert desk.chat.deadline() is None, "nothing can be done, and nothing is known of workers"
    desk.now += 100.0
    desk.do(list)
    assert len(desk.asks()) == 1
    desk.beat()
    desk.do(lambda: desk.chat.on_bus(desk.now, connected=True))
    assert (desk.asks()[-1].attempt, desk.asks()[-1].prefill) == (2, "one")


def test_an_outage_between_two_attempts_changes_nothing() -> None:
    desk = asked()
    desk.taken()
    desk.failed("chat_failed")
    desk.do(lambda: desk.chat.on_bus(desk.now, connected=True))
    assert len(desk.asks()) == 1
    desk.pass_time(1.0)
    assert len(desk.asks()) == 2


class TestTheWorkerThatHasTheConversationInItsCache:
    def second_turn(self, **changes: object) -> tuple[Desk, list[Effect]]:
        desk = Desk(workers=("w1", "w2"))
        desk.say("hello")
        desk.answered("hi")
        for name, value in changes.items():
            setattr(desk, name, value)
        desk.beat()
        return desk, desk.say("and now")

    def test_is_asked_directly_if_it_has_a_free_slot(self) -> None:
        desk, _ = self.second_turn()
        assert [ask.worker for ask in desk.asks()] == [None, "w1"]

    def test_is_not_waited_for_if_it_has_none(self) -> None:
        desk, _ = self.second_turn(free_slots=0)
        assert desk.asks()[-1].worker is None

    def test_is_passed_over_if_it_is_gone(self) -> None:
        desk, _ = self.second_turn(alive={"w2"}, now=110.0)
        assert desk.asks()[-1].worker is None

    def test_may_refuse_and_then_all_are_asked_at_once(self) -> None:
        desk, _ = self.second_turn()
        desk.failed(work.BUSY)
        assert (desk.asks()[-1].worker, desk.asks()[-1].attempt) == (None, 2)

    def test_may_say_nothing_and_then_all_are_asked_soon(self) -> None:
        desk, _ = self.second_turn()
        assert desk.pass_time(0.2) == []
        desk.pass_time(0.1)
        assert (desk.asks()[-1].worker, desk.asks()[-1].attempt) == (None, 2)
        assert desk.stops() == [(2, 1)]

    def test_may_take_it(self) -> None:
        desk, _ = self.second_turn()
        desk.taken()
        desk.pass_time(5.0)
        assert len(desk.asks()) == 2
