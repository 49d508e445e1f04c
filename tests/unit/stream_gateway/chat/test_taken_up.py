"""A chat that another gateway had."""

from typing import Any

from bus.contract import client_protocol as client
from bus.contract.chat_work import ChatMessage
from stream_gateway.chat.options import AnswerPatience
from stream_gateway.chat.resumption import ChatResumption, RunningAnswer, SpokenTurn
from stream_gateway.session import events
from stream_gateway.session.effects import SaveChat
from tests.unit.stream_gateway.chat.desk import Desk

HELLO = (ChatMessage("user", "hello"),)


def taken_up(*, workers: tuple[str, ...] = ("w1",), options: client.ChatOptions | None = None, **fields: Any) -> Desk:
    resumed = ChatResumption(options=options or client.ChatOptions(), attempts=2000, **fields)
    desk = Desk(workers=workers, resumed=resumed, patience=AnswerPatience(revive_s=10.0))
    desk.do(list)
    return desk


def running(text: str = "Hello th", **fields: Any) -> Desk:
    answer = RunningAnswer(number=3, text=text)
    return taken_up(messages=HELLO, turns=1, answers=3, running=answer, id="c1", **fields)


def test_its_answer_goes_on_with_the_clients_text_and_an_earlier_worker_is_stopped() -> None:
    desk = running(options=client.ChatOptions(max_tokens=100))
    (ask,) = desk.asks()
    assert (ask.answer, ask.attempt, ask.prefill, ask.max_tokens) == (3, 2001, "Hello th", 98)
    assert (desk.asked(), desk.stops()) == ([("user", "hello")], [(3, 2000)])
    desk.delta(1, " and more", attempt=1)
    desk.taken()
    desk.delta(1, "ere")
    desk.done(1)
    assert desk.events(events.ChatStarted) == []
    assert (desk.shown(3), desk.events(events.ChatDone)[0].text) == ("ere", "Hello there")
    (turn,) = desk.turns()
    assert (turn.turn, turn.answer, turn.text, turn.id) == (2, 3, "Hello there", "c1")
    desk.say("and now")
    assert (desk.asks()[-1].answer, desk.asks()[-1].attempt, desk.asks()[-1].prefill) == (4, 2001, "")
    assert [ask.is_continuation for ask in desk.asks()] == [True, False]
    assert desk.stops() == [(3, 2000)], "nobody else had that one"


def test_its_answer_waits_for_a_worker_to_be_heard_of() -> None:
    desk = running(workers=())
    assert desk.events(events.ChatFailed) == []
    desk.command(client.ChatRequest(id="r1"))
    desk.pass_time(5.0)
    desk.alive.add("w1")
    desk.beat()
    desk.pass_time(0.5)
    assert desk.asks()[-1].prefill == "Hello th"
    desk.alive.clear()
    desk.pass_time(13.0)
    assert [failed.error.code for failed in desk.events(events.ChatFailed)] == ["no_worker"]


def test_its_answer_may_be_stopped_before_anybody_was_asked() -> None:
    desk = running(workers=())
    desk.command(client.ChatCancel(answer=3))
    assert [cancelled.text for cancelled in desk.events(events.ChatCancelled)] == ["Hello th"]
    assert desk.stops() == []


def test_what_waits_for_an_answer_gets_one() -> None:
    desk = taken_up(messages=HELLO, turns=1, answers=2, wanted=True, id="c1")
    assert [(started.answer, started.id) for started in desk.events(events.ChatStarted)] == [(3, "c1")]
    assert (desk.asked(), desk.stops()) == ([("user", "hello")], [(3, 2000)])


def test_what_was_spoken_and_not_stored_as_a_turn_is() -> None:
    desk = taken_up(messages=HELLO, turns=4, spoken=(SpokenTurn(segment=7, text="spoken"),), wanted=True)
    (turn,) = desk.turns()
    assert (turn.turn, turn.text, turn.source, turn.segment, turn.asks) == (5, "spoken", "speech", 7, True)
    assert desk.asked() == [("user", "hello\nspoken")]


def test_an_answer_that_does_not_go_on_is_kept_and_not_told_again() -> None:
    stopped = events.ChatCancelled(3, "Hello th", "speech")
    spoken = (SpokenTurn(segment=7, text="spoken"),)
    desk = taken_up(messages=HELLO, turns=1, answers=3, stopped=stopped, spoken=spoken, wanted=True)
    assert desk.events(events.ChatCancelled) == []
    assert [(turn.turn, turn.text, turn.end) for turn in desk.turns()] == [
        (2, "Hello th", "cancelled"),
        (3, "spoken", "complete"),
    ]
    assert desk.asked() == [("user", "hello"), ("assistant", "Hello th"), ("user", "spoken")]


def test_a_turn_that_an_earlier_gateway_stored_is_not_taken_again() -> None:
    stored = events.TurnStored(turn=1, source="typed", id="c1")
    desk = taken_up(messages=HELLO, turns=1, stored=(stored,))
    desk.say("hello", id="c1")
    assert (desk.events(events.TurnStored), desk.turns(), desk.asks()) == ([stored], [], [])


class TestTheConversation:
    def test_is_saved_at_once(self) -> None:
        desk = taken_up(messages=HELLO, turns=1, options=client.ChatOptions(max_tokens=7))
        assert desk.saved() == SaveChat(client.ChatOptions(max_tokens=7), HELLO, turns=1, answers=0)

    def test_is_saved_when_the_turns_that_it_counts_are_stored(self) -> None:
        desk = Desk()
        desk.stores_succeed = False
        desk.say("hello", answer=False)
        assert desk.of(SaveChat) == []
        desk.stores_succeed = True
        desk.pass_time(1.0)
        assert (desk.saved().messages, desk.saved().turns) == (HELLO, 1)

    def test_is_saved_with_options_that_were_changed(self) -> None:
        desk = Desk()
        desk.command(client.ChatConfigure(max_tokens=7))
        assert desk.saved().options == client.ChatOptions(max_tokens=7)


class TestARequestThatIsTooLongForTheBroker:
    LONG = "𐍈" * 32_000
    OPTIONS = client.ChatOptions(instructions=LONG)

    def test_is_made_without_the_oldest_turns(self) -> None:
        messages = [ChatMessage("assistant" if number % 2 else "user", self.LONG) for number in range(5)]
        answer = RunningAnswer(number=1, text=self.LONG)
        desk = taken_up(messages=messages, running=answer, options=self.OPTIONS)
        assert [role for role, _ in desk.asked()] == ["system", "user", "assistant", "user"]
        assert desk.asks()[0].prefill == self.LONG

    def test_fails_if_its_last_turn_alone_is_too_long_and_is_not_to_be_tried_again(self) -> None:
        messages = [ChatMessage("user", self.LONG)] * 5
        answer = RunningAnswer(number=1, text=self.LONG + self.LONG)
        desk = taken_up(messages=messages, running=answer, options=self.OPTIONS)
        assert desk.asks() == []
        (failed,) = desk.events(events.ChatFailed)
        assert (failed.error.code, failed.error.retryable) == ("invalid_message", False)
