"""The record of one session in the bucket SESSIONS: what a gateway needs to take it over from another one.

One gateway owns a session. Each write names the revision that it replaces, and whoever takes the session over raises
`epoch`: so an owner that was replaced learns of it by its next write, if `Takeover` did not reach it. The records in
the stream TRANSCRIPTS are written the same way, and are what happened; this record need not be newer than they are.
JSON on the wire; fields are only ever added, and a reader ignores what it does not know.
"""

import msgspec

from bus.contract.chat_work import ChatMessage
from bus.contract.client_protocol import ChatOptions, SessionStart
from bus.contract.decoding import decoded

VERSION = 2


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """As of its newest write."""

    version: int = VERSION
    epoch: int = 0
    """How often the session was taken over."""
    gateway: str
    """Whose it is."""
    token_sha256: str
    """Hex digest of the token that takes it over; the token itself is nowhere but with the client."""
    expires_at: float
    """Until when it can be, in seconds of the Unix epoch."""
    start: SessionStart
    """As the client sent it."""
    chat: ChatOptions | None = None
    """How it is answered now, after all changes."""
    messages: tuple[ChatMessage, ...] = ()
    """The conversation, up to turn number `turns` of the record."""
    turns: int = 0
    answers: int = 0
    """How many answers were begun."""


class Takeover(msgspec.Struct, frozen=True, kw_only=True):
    """Told to the gateway that had a session: let go of it, and store nothing more."""

    session: str
    epoch: int
    """From which on it is another's."""


_encoder = msgspec.json.Encoder()
_record_decoder: msgspec.json.Decoder[SessionRecord] = msgspec.json.Decoder(SessionRecord)
_takeover_decoder: msgspec.json.Decoder[Takeover] = msgspec.json.Decoder(Takeover)


def encode_session(message: SessionRecord | Takeover) -> bytes:
    """Encode either."""
    return _encoder.encode(message)


def decode_session_record(data: bytes) -> SessionRecord:
    """Decode the record of a session; ValueError if it is none."""
    return decoded(_record_decoder.decode, data, "a session record")


def decode_takeover(data: bytes) -> Takeover:
    """Decode the word that a session is another's; ValueError if it is none."""
    return decoded(_takeover_decoder.decode, data, "a takeover")
