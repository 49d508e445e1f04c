"""Stored records: the public contract for downstream apps (docs/bus.md). JSON on the wire.

One record per segment, in order of `segment` within each channel of a session, and one per turn of a chat, in order of
`turn`; each stored exactly once under `transcripts.<tenant>.<session>` (`Nats-Msg-Id` = `<session>:<segment>:final` or
`<session>:<turn>:turn`) and republished by the broker to `live.<tenant>.<session>`. Rules of change: fields are only
ever added; a reader ignores what it does not know.
"""

from typing import Literal, TypeAlias

import msgspec

from bus.contract.decoding import decoded
from bus.contract.work import Task, Word

VERSION = 1


class TranscriptFinal(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transcript.final"):
    """The final text of one segment. Never changes once stored."""

    version: int = VERSION
    tenant: str
    session: str
    segment: int
    channel: int = 0
    start_s: float
    """Seconds from the session's first sample."""
    end_s: float
    until_s: float = 0.0
    """Where its audio ends: the next segment of this channel begins no earlier. 0 in records of before this field."""
    text: str
    """May be empty: something sounded like speech and was not."""
    language: str | None = None
    task: Task = "transcribe"
    model: str = ""
    words: tuple[Word, ...] = ()


class SegmentFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="segment.failed"):
    """A segment that could not be decoded after all retries; `code` as in docs/errors.md."""

    version: int = VERSION
    tenant: str
    session: str
    segment: int
    channel: int = 0
    start_s: float
    end_s: float
    until_s: float = 0.0
    """As in `TranscriptFinal`."""
    code: str
    message: str


class ChatTurn(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.turn"):
    """One turn of a conversation, user's or assistant's, once it is over. Never changes once stored."""

    version: int = VERSION
    tenant: str
    session: str
    turn: int
    """Number of the turn within its session, from 1, without gaps."""
    role: Literal["user", "assistant"]
    text: str
    """Of an answer that was stopped or failed: what of it was delivered."""
    source: Literal["speech", "typed", "model"]
    segment: int | None = None
    """Of a spoken turn: the segment of its transcript."""
    answer: int | None = None
    """Of an assistant's turn: the number of the answer, as the client saw it."""
    end: Literal["complete", "length", "cancelled", "failed"] = "complete"
    model: str = ""
    id: str | None = None
    """Of a typed turn: the client's own name for it, if it gave one. Of an answer: its name for what that answers."""
    asks: bool = False
    """Of a user's turn: an answer to it is wanted."""
    prompt_tokens: int = 0
    """Of a complete answer, as the engine counts them; so are the next two."""
    completion_tokens: int = 0
    cached_tokens: int = 0


class SessionResumed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="session.resumed"):
    """Another gateway has taken the session over. What the gateway before it would still store is refused."""

    version: int = VERSION
    tenant: str
    session: str
    epoch: int
    """How often the session was taken over."""


SegmentRecord: TypeAlias = TranscriptFinal | SegmentFailed
Record: TypeAlias = SegmentRecord | ChatTurn | SessionResumed

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """Encode for `transcripts.<tenant>.<session>`."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> Record:
    """Decode a stored or live record; ValueError if it is none."""
    return decoded(_decoder.decode, data, "a record")


def record_id(session: str, segment: int) -> str:
    """The `Nats-Msg-Id` under which the record of a segment is stored, whatever was retried."""
    return f"{session}:{segment}:final"


def resumed_id(session: str, epoch: int) -> str:
    """The `Nats-Msg-Id` under which it is stored that a session was taken over."""
    return f"{session}:{epoch}:resumed"


def turn_id(session: str, turn: int) -> str:
    """The `Nats-Msg-Id` under which the record of a turn is stored, whatever was retried."""
    return f"{session}:{turn}:turn"
