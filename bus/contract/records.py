"""Stored records: the public contract for downstream apps (docs/bus.md). JSON on the wire.

One record per segment, in order of `segment` within each channel of a session, each stored exactly once under
`transcripts.<tenant>.<session>` (`Nats-Msg-Id` = `<session>:<segment>:final`) and republished by the broker to
`live.<tenant>.<session>`. Rules of change: fields are only ever added; a reader ignores what it does not know.
"""

from typing import TypeAlias

import msgspec

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
    code: str
    message: str


Record: TypeAlias = TranscriptFinal | SegmentFailed

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """Encode for `transcripts.<tenant>.<session>`."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> Record:
    """Decode a stored or live record; ValueError if it is none."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a transcript record: {error}") from None


def record_id(session: str, segment: int) -> str:
    """The `Nats-Msg-Id` under which the record of a segment is stored, whatever was retried."""
    return f"{session}:{segment}:final"
