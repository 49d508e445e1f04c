from typing import Literal

import pytest

from bus.contract.client_protocol import ChatCancel, ChatConfigure, ChatRequest, ChatReset, ChatSend, ServerEvent
from bus.contract.errors import NothingToAnswer
from clients.answers import AnswerDesk, ExpectedAnswer
from clients.failures import AnswerCancelled
from tests.unit.clients.events import cancelled, chat_failed, chat_started, delta, done, error, final, turn_stored

TURN = ChatSend(text="hi")


def wish(desk: AnswerDesk, command: ChatSend | ChatRequest = TURN) -> ExpectedAnswer:
    answer = ExpectedAnswer()
    desk.expect(command, answer)
    return answer


def feed(desk: AnswerDesk, *events: ServerEvent) -> list[bool]:
    return [desk.on_event(event) for event in events]


def test_the_events_of_an_expected_answer_are_taken_and_all_others_are_left() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    assert feed(desk, final(1), chat_started(2), delta(3, "He"), delta(4, "llo")) == [False, True, True, True]
    assert (answer.number, answer.text, answer.end) == (1, "Hello", None)
    assert feed(desk, done(5, "Hello"), chat_started(6, answer=2), delta(7, "x", answer=2), done(8, answer=2)) == [
        True,
        False,
        False,
        False,
    ]
    assert answer.end == done(5, "Hello")


def test_text_that_was_not_taken_comes_as_one_piece_and_each_piece_once() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    feed(desk, chat_started(1), delta(2, "He"), delta(3, "llo"))
    taken = [answer.take(), answer.take()]
    feed(desk, delta(4, "!"))
    assert [*taken, answer.take()] == ["Hello", "", "!"]


def test_answers_nobody_waits_for_in_particular_are_left() -> None:
    desk = AnswerDesk()
    desk.expect(TURN)
    assert feed(desk, chat_started(1), delta(2, "a")) == [False] * 2
    answer = wish(desk)
    assert feed(desk, cancelled(3, "a", reason="turn"), chat_started(4, answer=2)) == [False, True]
    assert answer.number == 2


def test_turns_that_want_no_answer_and_changes_expect_none() -> None:
    desk = AnswerDesk()
    answer = wish(desk, ChatRequest())
    desk.expect(ChatSend(text="hi", answer=False))
    desk.expect(ChatConfigure(temperature=0.0))
    feed(desk, chat_started(1))
    assert answer.number == 1


def test_one_answer_to_several_turns_is_that_of_the_last() -> None:
    desk = AnswerDesk()
    earlier, later = wish(desk), wish(desk)
    feed(desk, chat_started(1), delta(2, "both"), done(3, "both"))
    assert isinstance(earlier.refusal, AnswerCancelled)
    assert (later.text, later.end) == ("both", done(3, "both"))


@pytest.mark.parametrize("command", [ChatCancel(), ChatReset()])
def test_what_stops_answers_stops_one_that_has_not_begun(command: ChatCancel | ChatReset) -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    desk.expect(command)
    assert isinstance(answer.refusal, AnswerCancelled)
    assert feed(desk, chat_started(1), cancelled(2)) == [False, False]


@pytest.mark.parametrize("reason", ["turn", "client"])
def test_an_answer_that_began_while_the_turn_was_on_its_way_is_not_its_answer(
    reason: Literal["turn", "client"],
) -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    feed(desk, chat_started(1), cancelled(2, reason=reason))
    assert (answer.number, answer.end) == (None, None)
    feed(desk, chat_started(3, answer=2), delta(4, "yes", answer=2), done(5, "yes", answer=2))
    assert (answer.number, answer.text, answer.end) == (2, "yes", done(5, "yes", answer=2))


@pytest.mark.parametrize("said", ["", "some"])
def test_an_answer_that_a_later_turn_stopped_is_cancelled(said: str) -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    desk.expect(ChatSend(text="more", answer=False))
    feed(desk, chat_started(1), delta(2, said), cancelled(3, said, reason="turn"))
    assert answer.end == cancelled(3, said, reason="turn")


def test_an_answer_that_speech_stopped_is_cancelled_at_once() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    feed(desk, chat_started(1), cancelled(2, reason="speech"))
    assert answer.end == cancelled(2, reason="speech")


def test_an_answer_of_which_something_came_is_cancelled_whatever_stopped_it() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    feed(desk, chat_started(1), delta(2, "some"), cancelled(3, "some", reason="turn"))
    assert answer.end == cancelled(3, "some", reason="turn")


def test_an_answer_that_was_stopped_for_a_request_that_came_after_it_does_not_wait_on() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    feed(desk, chat_started(1))
    desk.expect(ChatRequest())
    feed(desk, cancelled(2, reason="client"))
    assert answer.end == cancelled(2, reason="client")


def test_an_answer_that_failed_has_its_end() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    feed(desk, chat_started(1), chat_failed(2))
    assert answer.end == chat_failed(2)


def test_an_error_of_the_sender_refuses_an_answer_that_has_not_begun_and_goes_to_all_others_too() -> None:
    desk = AnswerDesk()
    answer = wish(desk, ChatRequest())
    assert feed(desk, error(1, code="nothing_to_answer")) == [False]
    assert isinstance(answer.refusal, NothingToAnswer)
    desk.expect(ChatSend(text=""))
    assert feed(desk, error(2, code="invalid_message"), error(3, code="invalid_message")) == [False, False]


def test_an_error_of_the_service_is_no_refusal() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    feed(desk, error(1, code="no_worker", retryable=True), chat_started(2))
    assert (answer.number, answer.refusal) == (1, None)


def test_an_answer_that_is_running_already_cannot_be_waited_for() -> None:
    desk = AnswerDesk()
    desk.expect(TURN)
    feed(desk, chat_started(1))
    with pytest.raises(NothingToAnswer, match="running already"):
        wish(desk, ChatRequest())
    desk.expect(ChatRequest())
    feed(desk, done(2))
    assert wish(desk, ChatRequest()).refusal is None


def test_the_end_of_another_answer_than_the_running_one_changes_nothing() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    assert feed(desk, chat_started(2, answer=2), done(3, answer=1), delta(4, "x", answer=1)) == [True, False, False]
    assert answer.end is None


def named_wish(desk: AnswerDesk, name: str) -> ExpectedAnswer:
    return wish(desk, ChatSend(text="hi", id=name))


def test_an_answer_to_an_earlier_turn_is_not_the_one_that_is_waited_for() -> None:
    desk = AnswerDesk()
    desk.expect(ChatSend(text="before", id="m1"))
    answer = named_wish(desk, "m2")
    assert feed(desk, chat_started(1, name="m1"), delta(2, "no"), cancelled(3, "no", reason="turn")) == [False] * 3
    assert feed(desk, chat_started(4, answer=2, name="m2"), delta(5, "yes", answer=2)) == [True, True]
    assert answer.text == "yes"


def test_an_answer_to_a_turn_behind_it_answers_it_too() -> None:
    desk = AnswerDesk()
    answer = named_wish(desk, "m1")
    desk.expect(ChatSend(text="and this", answer=False, id="m2"))
    assert feed(desk, chat_started(1, name="m2"), delta(2, "yes")) == [True, True]
    assert answer.text == "yes"


def test_a_turn_that_wants_no_answer_is_no_wish_of_its_own() -> None:
    desk = AnswerDesk()
    desk.expect(ChatSend(text="remember this", answer=False, id="m1"))
    assert feed(desk, chat_started(1, name="m1")) == [False]


def test_that_the_turn_is_stored_is_for_whoever_waits_for_its_answer() -> None:
    desk = AnswerDesk()
    named_wish(desk, "m1")
    desk.expect(ChatSend(text="hi", id="m2"))
    stored = [turn_stored(1, name="m1"), turn_stored(2, name="m1"), turn_stored(3, name="m2"), turn_stored(4)]
    assert feed(desk, *stored) == [True, False, False, False]


def test_a_turn_that_was_refused_is_not_waited_for() -> None:
    desk = AnswerDesk()
    answer = named_wish(desk, "m1")
    feed(desk, error(1, code="invalid_message"), error(2, code="invalid_message"))
    assert answer.refusal is not None
    assert feed(desk, turn_stored(3, name="m1")) == [False]
