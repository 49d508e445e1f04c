"""Chat in the native client protocol, version 1 (docs/protocol.md): what a client says of it, and what it is told."""

from typing import Literal, TypeAlias

import msgspec


class ChatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the assistant of this session answers."""

    instructions: str = ""
    """The system text."""
    model: str | None = None
    """A name that a live LLM worker announces; None takes the default."""
    max_tokens: int = 512
    """Longest answer, 1 to 32768 tokens."""
    temperature: float = 0.7
    """0 (always the most probable token) to 2."""
    auto: bool = True
    """Answer every spoken utterance; False: only on `chat.send` and `chat.request`."""


class ChatSend(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.send"):
    """A typed turn. It stops an answer that is running."""

    text: str
    answer: bool = True
    """False: it is remembered, and not answered yet."""
    id: str | None = None
    """The client's own name for it, up to 64 characters. `chat.turn` repeats it once the turn is stored; until then a
    client that resumes sends it again, and it is taken once."""


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.request"):
    """Answer what was said or typed since the last answer, or try again where the last one failed."""

    id: str | None = None
    """The client's own name for it, up to 64 characters; `chat.started` repeats it."""


class ChatCancel(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.cancel"):
    """Stop the running answer, if there is one; what was delivered of it stays in the conversation."""

    answer: int | None = None
    """Only if it is this one that runs. None: whichever runs, or waits until nobody speaks."""


class ChatConfigure(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.configure"):
    """Change what `session.start` said of chat, from the next answer on. None leaves it as it is."""

    instructions: str | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    auto: bool | None = None


class ChatReset(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.reset"):
    """Forget the conversation so far. It stops an answer that is running."""


ChatCommand: TypeAlias = ChatSend | ChatRequest | ChatCancel | ChatConfigure | ChatReset


class HeldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a client that resumes has of an answer."""

    answer: int
    text: str | None = None
    """All deltas that came of it; None if its end came too."""


class ChatTurnStored(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.turn"):
    """A turn of the user is in the record: whatever fails now, it is not lost."""

    seq: int
    turn: int
    """Its number there. Turns of the assistant count too."""
    source: Literal["speech", "typed"]
    segment: int | None = None
    """Of a spoken turn: the segment of its transcript."""
    id: str | None = None
    """Of a typed turn: the client's name for it, if it has one."""


class ChatStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.started"):
    """An answer was asked for; its deltas follow. One answer runs at a time."""

    seq: int
    answer: int
    """Number of the answer within the session, from 1."""
    model: str
    id: str | None = None
    """The `id` of the newest `chat.send` or `chat.request` that it answers, if that had one."""


class ChatDelta(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.delta"):
    """The next piece of the answer: append it."""

    seq: int
    answer: int
    text: str


class ChatUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens, as the engine counts them."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """Of the prompt, those that the engine still had."""


class ChatTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of an answer went, in seconds of wall time."""

    queue_s: float
    prefill_s: float
    first_delta_s: float
    """Asked for until its first delta was sent."""
    total_s: float
    """Asked for until its end."""


class ChatDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.done"):
    """The answer is complete; `text` is all of its deltas."""

    seq: int
    answer: int
    text: str
    finish_reason: Literal["stop", "length"]
    usage: ChatUsage
    times: ChatTimes
    model: str


class ChatCancelled(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.cancelled"):
    """The answer was stopped; `text` is all of its deltas, and what the conversation keeps of it."""

    seq: int
    answer: int
    text: str
    reason: Literal["client", "speech", "turn", "session"]
    """`chat.cancel` or `chat.reset`, somebody who began to speak, another typed turn, or the session's end."""


class ChatFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.failed"):
    """The answer has no end; `text` is all of its deltas. The turn stays: `chat.request` tries again if `retryable`."""

    seq: int
    answer: int
    text: str
    code: str
    message: str
    retryable: bool


ChatEvent: TypeAlias = ChatTurnStored | ChatStarted | ChatDelta | ChatDone | ChatCancelled | ChatFailed
