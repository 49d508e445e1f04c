"""Chat answers between gateways and LLM workers. Internal to one deployment; msgpack on the wire.

An answer is asked for by a `ChatRequest`, and each try to get it is an *attempt*: a gateway whose worker is gone asks
again, with the text that came so far as `prefill`, under the next attempt. What still comes of an earlier attempt is
ignored. Of one attempt a worker says, in this order and each with its number: `ChatTaken`, any number of `ChatDelta`,
and one of `ChatDone` and `ChatFailed`. Rules of change are those of `bus.contract.work`.
"""

import math
from typing import Literal, TypeAlias

import msgspec

from bus.contract.decoding import check_finite, decoded
from bus.contract.identifiers import check_identifier
from bus.contract.work import OtherVersion

VERSION = 1
MAX_REQUEST_BYTES = 900_000
"""Of an encoded request: below the broker's 1 MiB payload."""

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]
"""The model ended its answer, or was cut at `max_tokens` or at the end of its context."""


class ChatMessage(msgspec.Struct, frozen=True):
    """One message of a conversation. User words: never logged."""

    role: Role
    text: str


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.request"):
    """One answer to generate. The worker keeps no state: all that it needs is in here."""

    version: int = VERSION
    tenant: str
    session: str
    gateway: str
    """Where the answer goes: `subjects.chat_inbox(gateway, session)`."""
    answer: int
    """Number of the answer within its session, from 1."""
    attempt: int = 1
    """From 1; the events of the attempt carry it."""
    model: str
    messages: tuple[ChatMessage, ...]
    """Oldest first, at most one `system` message, which is the first. The last one is the user's. A worker drops the
    oldest others where they do not fit its model's context."""
    prefill: str = ""
    """How the answer begins: generation goes on after it, and it is not given again."""
    max_tokens: int = 512
    """Of this attempt."""
    temperature: float = 0.7
    """0 is greedy."""
    deadline_s: float = 120.0
    """The whole attempt may take this long once a worker has it."""


class ChatUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens, as the engine counts them."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """Of the prompt, those that were not computed again."""


class ChatTimings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of one attempt went, in seconds, as the worker saw it."""

    queue_s: float
    """In the broker, and in the worker until a slot was free."""
    prefill_s: float
    """Given to the engine until its first token."""
    emit_s: float
    """First token until it was published."""
    generate_s: float
    """First token until the last one."""


class ChatTaken(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.taken"):
    """A worker has the request, and works on it."""

    version: int = VERSION
    session: str
    answer: int
    attempt: int
    worker: str
    model: str


class ChatDelta(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.delta"):
    """The next piece of the answer. Pieces joined in the order of `seq` are the answer after its prefill."""

    version: int = VERSION
    session: str
    answer: int
    attempt: int
    seq: int
    """From 1 in each attempt, without gaps."""
    text: str
    tokens: int = 0
    """About as many it is of the engine's: how much of `max_tokens` is used up."""


class ChatDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.done"):
    """The answer is complete."""

    version: int = VERSION
    session: str
    answer: int
    attempt: int
    deltas: int
    """How many there were."""
    finish_reason: FinishReason
    usage: ChatUsage
    timings: ChatTimings
    model: str
    worker: str


class ChatFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.failed"):
    """The attempt is over without an end of the answer. `message` holds no user words."""

    version: int = VERSION
    session: str
    answer: int
    attempt: int
    code: str
    """`BUSY`, `LEAVING`, or the code of an error."""
    message: str
    retryable: bool
    """Whether another worker, or this one later, may do better."""
    worker: str


BUSY = "busy"
"""Code of a worker that was asked directly and has no free slot."""
LEAVING = "leaving"
"""Code of a worker that drains."""


class ChatCancel(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.cancel"):
    """Nobody waits for this answer any more. May come before the request, or never."""

    version: int = VERSION
    session: str
    answer: int
    upto_attempt: int
    """Attempts up to this one are meant; later ones are wanted."""


ChatReply: TypeAlias = ChatTaken | ChatDelta | ChatDone | ChatFailed

_encoder = msgspec.msgpack.Encoder()
_request_decoder = msgspec.msgpack.Decoder(ChatRequest)
_reply_decoder: msgspec.msgpack.Decoder[ChatReply] = msgspec.msgpack.Decoder(ChatReply)
_cancel_decoder = msgspec.msgpack.Decoder(ChatCancel)


def encode_chat(message: ChatRequest | ChatReply | ChatCancel) -> bytes:
    """Encode for the bus."""
    return _encoder.encode(message)


def decode_chat_request(data: bytes) -> ChatRequest:
    """Decode and check a request; ValueError (OtherVersion for that) names what is wrong, never the content."""
    request = decoded(_request_decoder.decode, data, "a chat.request")
    _check_version(request.version)
    for what in ("tenant", "session", "gateway"):  # they become tokens of the answer's subject
        check_identifier(getattr(request, what), what)
    if not request.messages or request.messages[-1].role != "user":
        raise ValueError("the last message must be the user's")
    if any(message.role == "system" for message in request.messages[1:]):
        raise ValueError("only the first message may be the system's")
    if request.max_tokens < 1:
        raise ValueError("max_tokens must be 1 or more")
    if not 0 <= request.temperature <= 2:
        raise ValueError("temperature must be from 0 to 2")
    if not 0 <= request.deadline_s < math.inf:
        raise ValueError("deadline_s must be a time")
    return request


def decode_chat_reply(data: bytes) -> ChatReply:
    """Decode what a worker says; ValueError names what is wrong, never the content."""
    reply = decoded(_reply_decoder.decode, data, "a chat reply")
    _check_version(reply.version)
    if isinstance(reply, ChatDone):
        took = reply.timings
        check_finite((took.queue_s, took.prefill_s, took.emit_s, took.generate_s), "timings")
    return reply


def decode_chat_cancel(data: bytes) -> ChatCancel:
    """Decode a cancel; ValueError names what is wrong, never the content."""
    cancel = decoded(_cancel_decoder.decode, data, "a chat.cancel")
    _check_version(cancel.version)
    return cancel


def _check_version(version: int) -> None:
    if version != VERSION:
        raise OtherVersion(f"message version {version}, this process speaks {VERSION}")
