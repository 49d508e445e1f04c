"""What dialects can ask of a chat beyond native v1."""

import pytest

from bus.contract import client_protocol as client
from bus.contract.chat_work import ChatMessage
from bus.contract.errors import InvalidMessage
from stream_gateway.chat.commands import AddTurn, AskAnswer, ForgetTurns, MindSpeech, TurnRef
from stream_gateway.session import events
from stream_gateway.session.effects import Emit
from tests.unit.stream_gateway.chat.desk import Desk


def item(name: str) -> TurnRef:
    return TurnRef("item", name)


def add(desk: Desk, name: str, text: str, **fields: object) -> None:
    desk.command(AddTurn(ref=item(name), text=text, **{"role": "user", **fields}))  # type: ignore[arg-type]


def ask(desk: Desk, key: str = "k", **fields: object) -> bool:
    """Whether the answer is accepted."""
    desk.command(AskAnswer(key=key, **fields))  # type: ignore[arg-type]
    told = desk.events(events.AnswerWanted)[-1]
    assert told.key == key
    return told.accepted


def end_speech(desk: Desk, segment: int) -> None:
    desk.do(lambda: desk.chat.hear([Emit(events.SpeechEnded(segment, 0, 1.0))]))


def test_turns_are_added_without_being_answered_until_an_answer_is_asked_for() -> None:
    desk = Desk()
    add(desk, "a", "be kind", role="system")
    add(desk, "b", "hello")
    add(desk, "c", "hi", role="assistant")
    add(desk, "d", "why")
    assert desk.asks() == []
    assert ask(desk)
    assert desk.asked() == [("system", "be kind"), ("user", "hello"), ("assistant", "hi"), ("user", "why")]
    assert [(turn.role, turn.text) for turn in desk.turns()] == [
        ("user", "hello"),
        ("assistant", "hi"),
        ("user", "why"),
    ], "what the system says is no turn of the record"


def test_a_turn_goes_after_the_one_that_it_names_or_to_the_start() -> None:
    desk = Desk()
    add(desk, "a", "one")
    add(desk, "c", "three")
    add(desk, "b", "two", after=item("a"))
    add(desk, "0", "zero", after="start")
    add(desk, "d", "four", after=item("gone"))
    ask(desk)
    assert desk.asked() == [("user", "zero\none\ntwo\nthree\nfour")]


def test_a_turn_waits_with_the_speech_that_it_follows() -> None:
    desk = Desk(auto=False)
    desk.begin_speech(1)
    add(desk, "b", "last")
    add(desk, "a", "typed", after=TurnRef("segment", 1))
    ask(desk)
    assert desk.asks() == []
    desk.final(1, "spoken")
    assert desk.asked() == [("user", "spoken\ntyped\nlast")]


def test_a_turn_of_nothing_or_one_too_many_is_refused() -> None:
    desk = Desk()
    with pytest.raises(InvalidMessage):
        add(desk, "a", " ")
    desk.begin_speech(1)
    for number in range(63):
        add(desk, str(number), "x")
    with pytest.raises(InvalidMessage):
        add(desk, "more", "x")


def test_an_answer_stands_behind_the_turn_that_it_answers() -> None:
    desk = Desk()
    add(desk, "a", "first")
    ask(desk)
    desk.taken()
    desk.delta(1, "to the first")
    add(desk, "b", "second")
    desk.done(1)
    ask(desk)
    assert desk.asked() == [("user", "first"), ("assistant", "to the first"), ("user", "second")]


def test_there_is_one_answer_at_a_time_and_one_that_waits_counts() -> None:
    desk = Desk()
    desk.begin_speech(1)
    assert ask(desk, "a")
    assert not ask(desk, "b")
    desk.final(1, "hello")
    assert not ask(desk, "c")
    desk.answered("hi")
    assert ask(desk, "d")
    assert len(desk.events(events.ChatStarted)) == 2


def test_whoever_asks_where_nobody_waits_is_answered_all_the_same() -> None:
    desk = Desk()
    ask(desk, instructions="greet them")
    assert desk.asked() == [("system", "greet them"), ("user", "Go on.")]
    desk.answered("welcome")
    ask(desk)
    assert desk.asked() == [("user", "Go on.")]
    assert desk.saved().messages == (ChatMessage("assistant", "welcome"),)


def test_what_is_asked_of_one_answer_is_forgotten_after_it() -> None:
    desk = Desk(instructions="be brief", max_tokens=100)
    desk.begin_speech(1)
    ask(desk, instructions="be long", max_tokens=7)
    desk.final(1, "hello")
    assert (desk.asked()[0], desk.asks()[-1].max_tokens) == (("system", "be long"), 7)
    desk.answered("hi")
    desk.say("and now")
    assert (desk.asked()[0], desk.asks()[-1].max_tokens) == (("system", "be brief"), 100)


def test_what_cannot_be_asked_is_refused() -> None:
    desk = Desk()
    with pytest.raises(InvalidMessage):
        ask(desk, max_tokens=0)
    desk.pass_time(1.0)
    assert desk.asks() == []


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_answer_outside_the_conversation_leaves_no_trace(cancelled: bool) -> None:
    desk = Desk()
    add(desk, "a", "hello")
    ask(desk, context=(ChatMessage("user", "classify this"),), remembered=False)
    assert desk.asked() == [("user", "classify this")]
    if cancelled:
        desk.taken()
        desk.delta(1, "spa")
        desk.command(client.ChatCancel())
    else:
        desk.answered("spam")
    ask(desk)
    assert desk.asked() == [("user", "hello")]
    assert [turn.text for turn in desk.turns()] == ["hello"]


def test_an_answer_that_waits_can_be_cancelled() -> None:
    desk = Desk(auto=False)
    desk.begin_speech(1)
    ask(desk, instructions="never")
    desk.command(client.ChatCancel())
    desk.final(1, "hello")
    assert desk.asks() == []
    ask(desk)
    assert desk.asked() == [("user", "hello")]


def test_turns_are_forgotten_by_name_spoken_typed_and_answered() -> None:
    desk = Desk(auto=False)
    desk.begin_speech(1)
    desk.final(1, "spoken")
    add(desk, "a", "typed")
    add(desk, "b", "kept")
    ask(desk)
    desk.answered("answered")
    desk.command(ForgetTurns((TurnRef("segment", 1), item("a"), TurnRef("answer", 1), item("unknown"))))
    assert desk.saved().messages == (ChatMessage("user", "kept"),)


def test_a_turn_that_waits_for_its_text_can_be_forgotten() -> None:
    desk = Desk()
    desk.begin_speech(1)
    add(desk, "a", "typed")
    desk.command(ForgetTurns((TurnRef("segment", 1),)))
    assert desk.saved().messages == (ChatMessage("user", "typed"),)
    desk.final(1, "late")
    assert desk.asks() == []
    assert desk.saved().messages == (ChatMessage("user", "typed"),)


def test_speech_that_does_not_interrupt_is_a_turn_once_it_is_over() -> None:
    desk = Desk()
    desk.command(MindSpeech(interrupts=False))
    desk.begin_speech(1)
    desk.say("hello")
    assert desk.asked() == [("user", "hello")], "nobody has the turn"
    desk.begin_speech(2)
    assert desk.events(events.ChatCancelled) == []
    end_speech(desk, 2)
    desk.answered("hi")
    desk.final(2, "and you")
    assert desk.asked() == [("user", "hello"), ("assistant", "hi"), ("user", "and you")]


def test_speech_that_interrupts_is_one_turn_from_begin_to_end() -> None:
    desk = Desk()
    desk.begin_speech(1)
    end_speech(desk, 1)
    desk.final(1, "hello")
    assert desk.asked() == [("user", "hello")]


def test_speech_that_was_taken_back_is_no_turn() -> None:
    desk = Desk()
    desk.begin_speech(1)
    desk.say("hello")
    desk.do(lambda: desk.chat.hear([Emit(events.SpeechCleared(1, 0))]))
    assert desk.asked() == [("user", "hello")]
