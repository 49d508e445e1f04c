"""How the chat of one session goes; what a client may ask of it is checked here, at the boundary."""

from dataclasses import dataclass, field

import msgspec

from bus.contract.client_protocol import ChatConfigure, ChatOptions
from bus.contract.errors import InvalidMessage
from stream_gateway.chat.conversation import MAX_TURN_CHARS

_MAX_TOKENS = 32_768
_MAX_ID_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPatience:
    """How long an answer may take before something is done about it. Wall time, in seconds."""

    direct_s: float = 0.25
    """A worker that was asked directly takes or refuses the answer within this; else all are asked."""
    queued_s: float = 60.0
    """Longest wait for a free slot."""
    stall_s: float = 60.0
    """A worker that has the answer and says nothing for this long is given up."""
    revive_s: float = 20.0
    """How long an answer that had a worker waits for another one to come up."""
    deadline_s: float = 300.0
    """Of one attempt, once a worker has it."""
    look_every_s: float = 0.2
    """How often it is looked whether the worker still lives."""
    resend_s: float = 0.5
    """Pause before a request is handed to the broker again that did not take it."""
    backoff_s: float = 0.25
    max_failures: int = 5
    """Attempts that may fail before the answer does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatConfig:
    """One session's chat."""

    session: str
    tenant: str
    options: ChatOptions = field(default_factory=ChatOptions)
    default_instructions: str = ""
    """In place of empty ones."""
    patience: AnswerPatience = field(default_factory=AnswerPatience)


def check_chat(options: ChatOptions) -> None:
    """Raise InvalidMessage that names the first field outside its range."""
    if len(options.instructions) > MAX_TURN_CHARS:
        raise InvalidMessage(f"chat.instructions may have {MAX_TURN_CHARS} characters")
    if not 1 <= options.max_tokens <= _MAX_TOKENS:
        raise InvalidMessage(f"chat.max_tokens must be from 1 to {_MAX_TOKENS}")
    if not 0 <= options.temperature <= 2:
        raise InvalidMessage("chat.temperature must be from 0 to 2")


def check_text(text: str) -> None:
    """Raise InvalidMessage if this cannot be a typed turn."""
    if not text.strip():
        raise InvalidMessage("chat.send: text must not be empty")
    if len(text) > MAX_TURN_CHARS:
        raise InvalidMessage(f"chat.send: text may have {MAX_TURN_CHARS} characters")


def check_id(command: str, id: str | None) -> None:
    """Raise InvalidMessage if this cannot be a client's name for its turn; None is no name."""
    if id is not None and not 1 <= len(id) <= _MAX_ID_CHARS:
        raise InvalidMessage(f"{command}: id may have 1 to {_MAX_ID_CHARS} characters")


def configured(options: ChatOptions, change: ChatConfigure) -> ChatOptions:
    """The options with a client's changes applied; raises InvalidMessage, and then nothing has changed."""
    fields = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
    changed = msgspec.structs.replace(options, **fields)
    check_chat(changed)
    return changed
