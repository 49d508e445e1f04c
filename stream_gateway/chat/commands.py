"""What dialects can ask of the chat machine beyond native v1, which has no words for it."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from bus.contract.chat_work import ChatMessage, Role
from bus.contract.client_protocol import ChatCommand


class TurnRef(NamedTuple):
    """Which turn of a conversation: what was heard as a segment, what was answered, or what a client put there."""

    kind: Literal["segment", "answer", "item"]
    id: int | str
    """The number of the segment or answer, or the client's own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddTurn:
    """Put a turn into the conversation. It stops no answer and asks for none."""

    ref: TurnRef
    role: Role
    text: str = field(repr=False)
    after: TurnRef | Literal["start"] | None = None
    """None: after all that was said so far, which is also where it goes if that turn is no longer known."""


@dataclass(frozen=True, slots=True)
class ForgetTurns:
    """Take turns out of the conversation; unknown ones are forgotten already."""

    refs: tuple[TurnRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAnswer:
    """Answer now, whoever spoke last. `AnswerWanted` says whether it is accepted: not while another one runs or waits.

    None takes what the session has.
    """

    key: str
    """The client's name for it, told back by `AnswerWanted`."""
    instructions: str | None = field(default=None, repr=False)
    max_tokens: int | None = None
    context: tuple[ChatMessage, ...] | None = field(default=None, repr=False)
    """Answer this in place of the conversation."""
    remembered: bool = True
    """False: the conversation and the record know nothing of this answer."""


@dataclass(frozen=True, slots=True)
class MindSpeech:
    """Whether speech has the turn as soon as it begins, which stops an answer and holds back the next one.

    Without `interrupts` a spoken turn begins when its speech is over, and stops nothing. At first it does interrupt.
    """

    interrupts: bool


ChatInput: TypeAlias = ChatCommand | AddTurn | ForgetTurns | AskAnswer | MindSpeech
