import pytest

from bus.contract.client_protocol import ChatCancel, ChatRequest, ChatSend, ServerEvent
from bus.contract.errors import InvalidMessage, NothingToAnswer, Overloaded
from clients.answers import MAX_WISHES, AnswerDesk, ExpectedAnswer
from tests.unit.clients.events import cancelled, chat_failed, chat_started, delta, done, error, final

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


def test_answers_nobody_waits_for_in_particular_are_left_in_their_order() -> None:
    desk = AnswerDesk()
    desk.expect(TURN)
    answer = wish(desk)
    assert feed(desk, chat_started(1), delta(2, "a"), cancelled(3, "a", reason="turn")) == [False] * 3
    assert feed(desk, chat_started(4, answer=2), done(5, answer=2)) == [True, True]
    assert answer.number == 2


def test_turns_that_want_no_answer_and_other_commands_expect_none() -> None:
    desk = AnswerDesk()
    desk.expect(ChatSend(text="hi", answer=False))
    desk.expect(ChatCancel())
    answer = wish(desk, ChatRequest())
    feed(desk, chat_started(1))
    assert answer.number == 1


def test_an_answer_that_began_while_the_turn_was_on_its_way_is_not_its_answer() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    feed(desk, chat_started(1), cancelled(2, reason="turn"))
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


def test_an_answer_that_was_stopped_with_text_is_cancelled_whatever_stopped_it() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    feed(desk, chat_started(1), delta(2, "some"), cancelled(3, "some", reason="turn"))
    assert answer.end == cancelled(3, "some", reason="turn")


def test_an_answer_that_failed_has_its_end() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    feed(desk, chat_started(1), chat_failed(2))
    assert answer.end == chat_failed(2)


def test_an_error_before_the_answer_began_refuses_it_and_goes_to_all_others_too() -> None:
    desk = AnswerDesk()
    answer = wish(desk, ChatRequest())
    assert feed(desk, error(1, code="nothing_to_answer")) == [False]
    assert isinstance(answer.refusal, NothingToAnswer)


def test_an_error_takes_the_place_of_an_answer_nobody_waits_for_in_particular() -> None:
    desk = AnswerDesk()
    desk.expect(ChatSend(text=""))
    answer = wish(desk)
    feed(desk, error(1, code="invalid_message"), chat_started(2))
    assert (answer.number, answer.refusal) == (1, None)


def test_while_an_answer_runs_only_an_error_of_the_sender_refuses_the_next_one() -> None:
    desk = AnswerDesk()
    wish(desk)
    feed(desk, chat_started(1))
    second = wish(desk)
    feed(desk, error(2, code="no_worker", retryable=True))
    assert second.refusal is None
    feed(desk, error(3, code="invalid_message"))
    assert isinstance(second.refusal, InvalidMessage)


def test_an_error_that_concerns_no_turn_is_left_alone() -> None:
    assert feed(AnswerDesk(), error(1)) == [False]


def test_the_end_of_another_answer_than_the_running_one_changes_nothing() -> None:
    desk = AnswerDesk()
    answer = wish(desk)
    assert feed(desk, chat_started(2, answer=2), done(3, answer=1), delta(4, "x", answer=1)) == [True, False, False]
    assert answer.end is None


def test_of_more_turns_than_the_service_takes_up_the_oldest_is_refused() -> None:
    desk = AnswerDesk()
    answers = [wish(desk) for _ in range(MAX_WISHES + 1)]
    assert isinstance(answers[0].refusal, Overloaded)
    assert [answer.refusal for answer in answers[1:]] == [None] * MAX_WISHES
