"""Builders of conversations, and what of their effects a test looks at."""

from bus.contract.client_protocol import ChatOptions, ServerEvent
from clients.cli.chat_effects import Effect, Show, Transmit
from clients.cli.conversation import Conversation
from tests.unit.clients.events import chat_started, delta, started

OPTIONS = ChatOptions(instructions="Be brief.")


def opened(*, listens: bool = False, shows_figures: bool = False, columns: int = 20) -> Conversation:
    conversation = Conversation(OPTIONS, listens=listens, shows_figures=shows_figures, columns=columns)
    conversation.on_opened(started(chat_model="smollm2"))
    return conversation


def feed(conversation: Conversation, *events: ServerEvent) -> list[str]:
    return texts([effect for event in events for effect in conversation.on_event(event)])


def texts(effects: list[Effect]) -> list[str]:
    assert all(isinstance(effect, Show) for effect in effects)
    return shown(effects)


def shown(effects: list[Effect]) -> list[str]:
    return [line.text for effect in effects if isinstance(effect, Show) for line in effect.lines]


def sent(effects: list[Effect]) -> list[object]:
    return [effect.message for effect in effects if isinstance(effect, Transmit)]


def live(conversation: Conversation) -> list[str]:
    return ["|".join(span.text for span in row) for row in conversation.live()]


def answering(text: str = "Some words", *, listens: bool = False) -> Conversation:
    conversation = opened(listens=listens)
    conversation.on_line("hi")
    feed(conversation, chat_started(2), delta(3, text))
    return conversation
