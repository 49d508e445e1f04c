"""What clients call their turns: a turn is taken once, and told once it is stored."""

import pytest

from bus.contract import client_protocol as client
from bus.contract.errors import InvalidMessage
from stream_gateway.session import events
from stream_gateway.session.events import TurnStored
from tests.unit.stream_gateway.chat.desk import Desk


def names(desk: Desk) -> list[str | None]:
    return [started.id for started in desk.events(events.ChatStarted)]


def test_a_turn_is_told_once_it_is_stored() -> None:
    desk = Desk(auto=False)
    desk.stores_succeed = False
    desk.say("hello", id="c1", answer=False)
    assert desk.events(TurnStored) == []
    desk.stores_succeed = True
    desk.pass_time(1.0)
    desk.begin_speech(7)
    desk.final(7, "spoken")
    assert desk.events(TurnStored) == [
        TurnStored(turn=1, source="typed", id="c1"),
        TurnStored(turn=2, source="speech", segment=7),
    ]
    assert [(turn.id, turn.asks) for turn in desk.turns()[-2:]] == [("c1", False), (None, False)]


def test_a_turn_that_is_sent_again_is_told_again_and_not_taken_twice() -> None:
    desk = Desk()
    desk.say("hello", id="c1")
    desk.answered("hi")
    desk.say("hello", id="c1")
    assert [stored.turn for stored in desk.events(TurnStored)] == [1, 1]
    assert [turn.text for turn in desk.turns()] == ["hello", "hi"]
    assert len(desk.events(events.ChatStarted)) == 1


def test_a_turn_that_is_sent_again_before_it_is_stored_will_be_told() -> None:
    desk = Desk()
    desk.begin_speech(1)
    desk.say("typed", id="c1")
    assert desk.say("typed", id="c1") == []
    desk.final(1, "spoken")
    assert [stored.id for stored in desk.events(TurnStored)] == [None, "c1"]


def test_turns_without_a_name_are_new_each_time() -> None:
    desk = Desk()
    desk.say("yes", answer=False)
    desk.say("yes", answer=False)
    assert len(desk.events(TurnStored)) == 2


def test_what_the_assistant_says_is_no_turn_that_is_told() -> None:
    desk = Desk()
    desk.say("hello")
    desk.answered("hi")
    assert [stored.turn for stored in desk.events(TurnStored)] == [1]


@pytest.mark.parametrize("id", ["", "x" * 65])
def test_a_name_has_a_bounded_length(id: str) -> None:
    desk = Desk()
    with pytest.raises(InvalidMessage, match="chat.send: id may have 1 to 64"):
        desk.say("hello", id=id)
    desk.say("hello", id="x" * 64)
    with pytest.raises(InvalidMessage, match="chat.request: id may have 1 to 64"):
        desk.command(client.ChatRequest(id=id))


def test_an_answer_says_what_it_answers() -> None:
    desk = Desk()
    desk.say("hello", id="c1")
    desk.answered("hi")
    desk.begin_speech(1)
    desk.final(1, "spoken")
    desk.answered("hi")
    desk.say("noted", id="c2", answer=False)
    desk.command(client.ChatRequest(id="r1"))
    desk.answered("hi")
    desk.say("a", id="c3")
    desk.say("b")
    assert names(desk) == ["c1", None, "r1", "c3", None]
    assert [turn.id for turn in desk.turns() if turn.role == "assistant"] == ["c1", None, "r1", "c3"]


def test_an_answer_that_a_cough_cut_off_keeps_its_name() -> None:
    desk = Desk()
    desk.say("hello", id="c1")
    desk.begin_speech(1)
    desk.final(1, "")
    assert names(desk) == ["c1", "c1"]


def test_a_reset_forgets_what_was_sent_and_keeps_it_in_the_record() -> None:
    desk = Desk()
    desk.begin_speech(1)
    desk.say("typed", id="c1")
    desk.command(client.ChatReset())
    assert [stored.id for stored in desk.events(TurnStored)] == ["c1"]
    desk.final(1, "spoken")
    assert desk.asked() == [("user", "spoken")]
    assert names(desk) == [None]


def test_a_cancel_may_be_of_one_answer() -> None:
    desk = Desk()
    desk.say("hello")
    desk.command(client.ChatCancel(answer=2))
    assert desk.events(events.ChatCancelled) == []
    desk.command(client.ChatCancel(answer=1))
    assert [cancelled.answer for cancelled in desk.events(events.ChatCancelled)] == [1]
    assert desk.command(client.ChatCancel(answer=1)) == []


class TestWhatIsToldOfAnAnswer:
    def test_waits_until_the_turns_before_it_are_stored(self) -> None:
        desk = Desk()
        desk.stores_succeed = False
        desk.say("hello")
        desk.taken()
        desk.delta(1, "hi")
        assert desk.events(events.ChatStarted) == []
        desk.stores_succeed = True
        desk.pass_time(0.6)
        assert (desk.shown(), len(desk.events(events.ChatStarted))) == ("hi", 1)
        desk.stores_succeed = False
        desk.done(1)
        assert desk.events(events.ChatDone) == []
        assert not desk.chat.is_idle
        desk.stores_succeed = True
        desk.pass_time(0.6)
        assert len(desk.events(events.ChatDone)) == 1
        assert desk.chat.is_idle

    def test_does_not_wait_for_long(self) -> None:
        desk = Desk()
        desk.stores_succeed = False
        desk.say("hello")
        desk.pass_time(0.5)
        desk.taken()
        desk.delta(1, "hi")
        desk.pass_time(0.5)
        assert (len(desk.events(events.ChatStarted)), desk.shown()) == (1, "")
        desk.pass_time(0.5)
        desk.done(1)
        assert desk.shown() == "hi"
        desk.do(lambda: desk.chat.on_bus(desk.now, connected=False))
        desk.pass_time(1.0)
        assert len(desk.events(events.ChatDone)) == 1, "also while the bus is away"

    def test_does_not_wait_where_nobody_can_resume(self) -> None:
        desk = Desk(is_resumable=False)
        desk.stores_succeed = False
        desk.say("hello")
        desk.taken()
        desk.delta(1, "hi")
        desk.done(1)
        assert (desk.shown(), len(desk.events(events.ChatDone))) == ("hi", 1)


def test_a_client_is_to_wait_while_many_turns_are_not_stored() -> None:
    desk = Desk()
    desk.stores_succeed = False
    for number in range(255):
        desk.say(f"{number}", answer=False)
    seen = [desk.chat.is_full]
    desk.say("one more", answer=False)
    seen.append(desk.chat.is_full)
    desk.stores_succeed = True
    desk.pass_time(1.0)
    seen.append(desk.chat.is_full)
    assert seen == [False, True, False]
    assert desk.dropped() == []
