"""The same machine where the session is lost, and opened again."""

import msgspec
import pytest

from bus.contract.client_protocol import ChatSend, ServerEvent
from clients.cli.chat_effects import Open
from clients.failures import CannotConnect, ConnectionLost
from tests.unit.clients.cli.conversations import OPTIONS, answering, feed, live, opened, sent, shown, texts
from tests.unit.clients.events import cancelled, done, partial, started


def test_what_could_not_be_sent_is_told() -> None:
    assert "was not sent" in texts(opened().on_not_sent())[0]


def test_a_lost_session_is_opened_again_by_the_next_line_with_what_was_changed_meanwhile() -> None:
    conversation = answering()
    conversation.on_line("typed into it")
    assert texts(conversation.on_lost(ConnectionLost("the connection closed"))) == [
        "Some words",
        "> typed into it",
        "the connection closed",
        "the next line opens a new conversation; /retry sends your last turn again",
    ]
    assert not conversation.is_busy
    assert sent(conversation.on_line("/system Rhyme.")) == []
    effects = conversation.on_line("hello?")
    assert effects[0] == Open(msgspec.structs.replace(OPTIONS, instructions="Rhyme."))
    assert (shown(effects), sent(effects)) == (["> hello?"], [ChatSend(text="hello?")])
    assert sent(conversation.on_line("still there?")) == [ChatSend(text="still there?")]
    assert texts(conversation.on_opened(started(chat_model="smollm2"))) == ["smollm2 answers; a new conversation"]


def test_the_turn_that_was_lost_with_its_session_is_sent_again_by_retry() -> None:
    conversation = answering()
    conversation.on_lost(CannotConnect("nobody there"))
    effects = conversation.on_line("/retry")
    assert effects[0] == Open(OPTIONS)
    assert sent(effects) == [ChatSend(text="hi")]


@pytest.mark.parametrize("end", [done(4), cancelled(4)])
def test_a_turn_that_had_its_answer_is_not_sent_again(end: ServerEvent) -> None:
    conversation = answering()
    feed(conversation, end)
    assert texts(conversation.on_lost(None)) == [
        "the service ended the session",
        "the next line opens a new conversation",
    ]
    assert texts(conversation.on_line("/retry")) == ["there is nothing to answer"]
    assert texts(conversation.on_line("/new")) == ["the next line opens a new conversation"]


def test_the_end_of_an_answer_does_not_take_away_the_turn_that_was_typed_into_it() -> None:
    conversation = answering()
    conversation.on_line("next")
    feed(conversation, done(4))
    conversation.on_lost(None)
    assert sent(conversation.on_line("/retry")) == [ChatSend(text="next")]


def test_with_a_microphone_enter_opens_a_lost_session_again() -> None:
    conversation = opened(listens=True)
    feed(conversation, partial(2))
    assert texts(conversation.on_lost(None))[-1] == "Enter opens a new conversation"
    assert live(conversation) == []
    assert conversation.on_line("") == [Open(OPTIONS)]
    assert conversation.on_line("") == []
