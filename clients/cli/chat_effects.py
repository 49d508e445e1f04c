"""What the machine of `harken chat` has done: texts to show, messages to send. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from bus.contract.client_protocol import AudioCommit, ChatCommand, ChatOptions


class Tone(StrEnum):
    """What a piece of text is, for whoever colours it."""

    ANSWER = "answer"
    SAID = "said"
    HEARD = "heard"
    """Being said, and may still change."""
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text in one tone."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class Show:
    """Print lines that stay."""

    lines: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send a message to the service, in order, now or once the session is open."""

    message: ChatCommand | AudioCommit


@dataclass(frozen=True, slots=True)
class Open:
    """Open another session with these options; report `on_opened` or `on_lost`."""

    options: ChatOptions


@dataclass(frozen=True, slots=True)
class ClearLine:
    """Throw away what is typed."""


@dataclass(frozen=True, slots=True)
class Leave:
    """End the program."""


Effect: TypeAlias = Show | Transmit | Open | ClearLine | Leave


def show(tone: Tone, *texts: str) -> list[Effect]:
    """Give what shows these lines in one tone; nothing for none."""
    return show_all(Span(tone, text) for text in texts)


def show_all(spans: Iterable[Span]) -> list[Effect]:
    """Give what shows these lines; nothing for none."""
    lines = tuple(spans)
    return [Show(lines)] if lines else []
