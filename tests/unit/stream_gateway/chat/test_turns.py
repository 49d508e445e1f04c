"""Who speaks, what was said, and the one answer that may run."""

import pytest

from bus.contract import client_protocol as client
from bus.contract.chat_work import ChatMessage
from bus.contract.errors import InvalidMessage, NothingToAnswer, UnknownModel
from stream_gateway.chat.commands import AddTurn, AskAnswer, TurnRef
from stream_gateway.session import events
from stream_gateway.session.effects import Emit
from tests.unit.stream_gateway.chat.desk import Desk

ELSEWHERE = (ChatMessage("user", "something else"),)


def test_a_typed_turn_is_answered() -> None:
    desk = Desk(instructions="be brief")
    desk.say("hello")
    assert desk.asked() == [("system", "be brief"), ("user", "hello")]
    assert [started.answer for started in desk.events(events.ChatStarted)] == [1]
    desk.answered("hi")
    desk.say("and now")
    assert desk.asked()[1:] == [("user", "hello"), ("assistant", "hi"), ("user", "and now")]


def test_a_spoken_turn_is_answered_once_its_text_is_known() -> None:
    desk = Desk()
    desk.begin_speech(1)
    assert desk.asks() == []
    desk.final(1, "hello")
    assert desk.asked() == [("user", "hello")]


def test_speech_without_words_is_no_turn() -> None:
    desk = Desk()
    desk.begin_speech(1)
    desk.final(1, "")
    desk.begin_speech(2)
    desk.unheard(2)
    assert (desk.asks(), desk.turns()) == ([], [])


def test_spoken_turns_are_only_remembered_unless_they_are_to_be_answered() -> None:
    desk = Desk(auto=False)
    desk.begin_speech(1)
    desk.final(1, "hello")
    assert desk.asks() == []
    desk.command(client.ChatRequest())
    assert desk.asked() == [("user", "hello")]


def test_a_typed_turn_may_be_only_remembered_too() -> None:
    desk = Desk()
    desk.say("my name is Ann", answer=False)
    assert desk.asks() == []
    desk.say("who am I")
    assert desk.asked() == [("user", "my name is Ann\nwho am I")]


def test_turns_keep_the_order_in_which_they_began() -> None:
    desk = Desk()
    desk.begin_speech(1)
    desk.say("typed meanwhile")
    assert desk.asks() == [], "somebody speaks"
    desk.final(1, "spoken first")
    assert desk.asked() == [("user", "spoken first\ntyped meanwhile")]
    assert [(turn.turn, turn.source, turn.segment) for turn in desk.turns()] == [(1, "speech", 1), (2, "typed", None)]


def test_whoever_begins_to_speak_stops_the_answer_and_what_was_shown_is_kept() -> None:
    desk = Desk()
    desk.say("tell me a story")
    desk.taken()
    desk.delta(1, "Once upon")
    desk.begin_speech(1)
    (cancelled,) = desk.events(events.ChatCancelled)
    assert (cancelled.text, cancelled.reason) == ("Once upon", "speech")
    assert desk.stops() == [(1, 1)]
    desk.delta(2, " a time")
    desk.final(1, "shorter")
    assert desk.asked() == [("user", "tell me a story"), ("assistant", "Once upon"), ("user", "shorter")]
    assert desk.shown() == "Once upon"


def test_another_turn_stops_the_answer() -> None:
    desk = Desk()
    desk.say("one")
    desk.taken()
    desk.say("two")
    assert [cancelled.reason for cancelled in desk.events(events.ChatCancelled)] == ["turn"]
    assert desk.asked() == [("user", "one\ntwo")]
    assert [started.answer for started in desk.events(events.ChatStarted)] == [1, 2]


def test_a_cough_begins_the_answer_again_that_it_cut_off() -> None:
    desk = Desk()
    desk.say("hello")
    desk.begin_speech(1)
    desk.final(1, "")
    assert [ask.answer for ask in desk.asks()] == [1, 2]


def test_a_cough_asks_nothing_in_place_of_an_answer_that_was_asked_for_by_name() -> None:
    desk = Desk(auto=False)
    desk.say("hi", answer=False)
    desk.do(lambda: desk.chat.on_command(AskAnswer(key="k", context=ELSEWHERE, remembered=False), desk.now))
    desk.taken()
    desk.begin_speech(1)
    desk.final(1, "")
    assert len(desk.asks()) == 1


def test_a_system_turn_that_comes_while_somebody_speaks_leaves_them_their_answer() -> None:
    desk = Desk()
    desk.begin_speech(1)
    added = AddTurn(ref=TurnRef("item", "i1"), role="system", text="the user is Bo")
    desk.do(lambda: desk.chat.on_command(added, desk.now))
    desk.final(1, "who am I")
    assert desk.asked() == [("system", "the user is Bo"), ("user", "who am I")]


def test_without_instructions_of_its_own_a_chat_has_the_services_whatever_is_configured_later() -> None:
    desk = Desk(service="be helpful")
    desk.command(client.ChatConfigure(instructions=""))
    desk.say("hello")
    assert desk.asked()[0] == ("system", "be helpful")


def test_a_cough_does_not_repeat_an_answer_that_was_shown_in_part() -> None:
    desk = Desk()
    desk.say("hello")
    desk.taken()
    desk.delta(1, "Hi")
    desk.begin_speech(1)
    desk.final(1, "")
    assert len(desk.asks()) == 1


def test_the_client_may_stop_an_answer_and_ask_for_it_again() -> None:
    desk = Desk()
    desk.say("hello")
    desk.command(client.ChatCancel())
    assert [cancelled.reason for cancelled in desk.events(events.ChatCancelled)] == ["client"]
    assert desk.chat.is_idle
    desk.command(client.ChatRequest())
    assert desk.asked() == [("user", "hello")]


def test_stopping_where_nothing_runs_is_no_error() -> None:
    desk = Desk()
    assert desk.command(client.ChatCancel()) == []


def test_a_stop_also_takes_back_a_wish_that_waits_for_speech() -> None:
    desk = Desk(auto=False)
    desk.begin_speech(1)
    desk.say("typed")
    desk.command(client.ChatCancel())
    desk.final(1, "spoken")
    assert len(desk.asks()) == 1, "the typed turn's own wish is part of the turn"


def test_a_failed_answer_can_be_asked_for_again_and_leaves_nothing_behind() -> None:
    desk = Desk()
    desk.say("hello")
    desk.taken()
    desk.delta(1, "Hel")
    desk.failed("chat_failed", retryable=False)
    desk.command(client.ChatRequest())
    assert desk.asked() == [("user", "hello")]
    assert [(turn.role, turn.text, turn.end) for turn in desk.turns()] == [
        ("user", "hello", "complete"),
        ("assistant", "Hel", "failed"),
    ]


def test_nothing_can_be_asked_for_where_nothing_was_said() -> None:
    desk = Desk()
    with pytest.raises(NothingToAnswer):
        desk.command(client.ChatRequest())
    desk.say("hello")
    desk.answered("hi")
    with pytest.raises(NothingToAnswer):
        desk.command(client.ChatRequest())


def test_a_request_while_an_answer_runs_changes_nothing() -> None:
    desk = Desk()
    desk.say("hello")
    desk.command(client.ChatRequest())
    desk.answered("hi")
    assert len(desk.asks()) == 1


def test_a_request_while_somebody_speaks_waits_for_the_text_and_needs_one() -> None:
    desk = Desk(auto=False)
    desk.begin_speech(1)
    desk.command(client.ChatRequest())
    desk.final(1, "")
    assert desk.asks() == []
    assert desk.chat.is_idle


def test_what_a_client_configures_holds_from_the_next_answer_on() -> None:
    desk = Desk()
    desk.say("hello")
    desk.command(client.ChatConfigure(instructions="be brief", max_tokens=5, temperature=0.0, model="smollm2"))
    desk.answered("hi")
    desk.say("and now")
    ask = desk.asks()[-1]
    assert (desk.asked()[0], ask.max_tokens, ask.temperature) == (("system", "be brief"), 5, 0.0)


def test_a_change_may_be_of_one_thing() -> None:
    desk = Desk(instructions="be brief")
    desk.command(client.ChatConfigure(auto=False))
    desk.begin_speech(1)
    desk.final(1, "hello")
    assert desk.asks() == []
    desk.command(client.ChatRequest())
    assert desk.asked()[0] == ("system", "be brief")


def test_a_change_to_a_model_that_nobody_serves_is_refused_and_changes_nothing() -> None:
    desk = Desk()
    with pytest.raises(UnknownModel, match="available: smollm2"):
        desk.command(client.ChatConfigure(model="nonesuch", max_tokens=5))
    desk.say("hello")
    assert desk.asks()[-1].max_tokens == 512


def test_a_change_is_taken_while_no_worker_is_there() -> None:
    desk = Desk(workers=())
    desk.command(client.ChatConfigure(model="smollm2"))
    assert desk.chat.model(desk.now) is None


def test_it_tells_who_would_answer() -> None:
    assert Desk().chat.model(100.0) == "smollm2"
    assert Desk(model="nonesuch").chat.model(100.0) is None


def test_a_reset_forgets_the_conversation_and_stops_the_answer_but_not_who_speaks() -> None:
    desk = Desk()
    desk.say("hello")
    desk.begin_speech(1)
    desk.say("typed meanwhile")
    desk.command(client.ChatReset())
    desk.final(1, "anew")
    assert desk.asked() == [("user", "anew")]


def test_typed_turns_that_wait_for_speech_are_bounded() -> None:
    desk = Desk()
    desk.begin_speech(1)
    for number in range(63):
        desk.say(f"turn {number}")
    with pytest.raises(InvalidMessage, match="64 turns wait"):
        desk.say("one too many")


def test_a_turn_without_text_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="must not be empty"):
        Desk().say(" ")


def test_nobody_is_answered_who_is_gone_and_what_was_said_is_still_stored() -> None:
    desk = Desk()
    desk.say("hello")
    desk.begin_speech(1)
    desk.do(desk.chat.on_gone)
    desk.final(1, "anybody there")
    assert len(desk.asks()) == 1
    assert desk.turns()[-1].text == "anybody there"
    assert desk.chat.is_idle


def test_a_running_answer_ends_when_its_client_goes() -> None:
    desk = Desk()
    desk.say("hello")
    desk.taken()
    desk.do(desk.chat.on_gone)
    assert [cancelled.reason for cancelled in desk.events(events.ChatCancelled)] == ["session"]


def test_replies_of_other_answers_and_after_the_end_are_ignored() -> None:
    desk = Desk()
    desk.say("hello")
    assert desk.delta(1, "x", answer=7) == []
    desk.answered("hi")
    assert desk.delta(2, "x") == []
    assert desk.do(lambda: desk.chat.on_asked(1, 1, desk.now, succeeded=False)) == []
    assert desk.do(lambda: desk.chat.on_given_up(1, 1, desk.now)) == []


def test_other_news_of_a_session_is_not_for_the_chat() -> None:
    desk = Desk()
    assert desk.do(lambda: desk.chat.hear([Emit(events.Committed(1))])) == []


class TestTheRecord:
    def test_holds_every_turn_once_it_is_over_in_order(self) -> None:
        desk = Desk()
        desk.say("hello")
        desk.answered("hi")
        desk.say("more")
        desk.taken()
        desk.done(0, reason="length")
        turns = [(turn.turn, turn.role, turn.text, turn.end, turn.answer, turn.model) for turn in desk.turns()]
        assert turns == [
            (1, "user", "hello", "complete", None, ""),
            (2, "assistant", "hi", "complete", 1, "smollm2"),
            (3, "user", "more", "complete", None, ""),
            (4, "assistant", "", "length", 2, "smollm2"),
        ]

    def test_is_written_again_until_the_broker_has_it_one_turn_at_a_time(self) -> None:
        desk = Desk()
        desk.stores_succeed = False
        desk.say("one", answer=False)
        desk.say("two", answer=False)
        assert [turn.text for turn in desk.turns()] == ["one"]
        assert not desk.chat.is_idle
        desk.stores_succeed = True
        desk.pass_time(1.0)
        assert [turn.text for turn in desk.turns()] == ["one", "one", "two"]
        assert desk.chat.is_idle

    def test_is_written_at_once_when_the_bus_is_back(self) -> None:
        desk = Desk()
        desk.stores_succeed = False
        desk.say("one", answer=False)
        desk.do(lambda: desk.chat.on_bus(desk.now, connected=False))
        desk.stores_succeed = True
        desk.do(lambda: desk.chat.on_bus(desk.now, connected=True))
        assert desk.chat.is_idle

    def test_drops_the_oldest_turns_of_a_long_outage_and_counts_them(self) -> None:
        desk = Desk()
        desk.stores_succeed = False
        for number in range(514):
            desk.say(f"{number}", answer=False)
        assert [(dropped.what, dropped.reason) for dropped in desk.dropped()] == [("turn", "overflow")] * 2
        desk.stores_succeed = True
        desk.pass_time(1.0)
        assert [turn.turn for turn in desk.turns()][-512:] == list(range(3, 515))

    def test_ignores_an_acknowledgement_that_it_does_not_wait_for(self) -> None:
        desk = Desk()
        desk.say("one", answer=False)
        assert desk.do(lambda: desk.chat.on_turn_stored(desk.turns()[0], desk.now, succeeded=True)) == []

    def test_the_sessions_key_holds_what_a_later_life_needs(self) -> None:
        desk = Desk()
        desk.say("hello")
        desk.answered("hi")
        saved = desk.saved()
        assert [message.text for message in saved.messages] == ["hello", "hi"]
        assert (saved.turns, saved.answers) == (2, 1)
