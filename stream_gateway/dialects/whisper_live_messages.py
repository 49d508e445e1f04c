"""What a WhisperLive client says first, and what it reads. Every message carries the uid of that handshake."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from bus.contract.client_protocol import AudioFormat, SessionStart
from bus.contract.errors import InvalidMessage, UnsupportedAudio

_ENCODINGS: Final = {"float32": "float32", "int16": "linear16", "uint8": "linear16"}
_MAX_UID_CHARS = 200
_USUAL_SEGMENTS = 10
_MAX_SEGMENTS = 100
_LEAST_WAIT_MIN = 0.1

Uid: TypeAlias = str | int | None
"""None before the handshake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """`start` for the session, the rest for how its events are spelled."""

    uid: Uid
    """Whatever the client calls itself: it is echoed as it came."""
    start: SessionStart
    is_uint8: bool
    """8-bit samples, which the session does not know: they are widened."""
    segments: int
    """How much of what is final is said again with each message."""
    word_times: bool


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """One word of a segment."""

    word: str
    start: str
    end: str
    probability: float


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """What was said from `start` to `end`, in seconds written with three decimals. Once `completed` it stays."""

    start: str
    end: str
    text: str
    completed: bool
    words: tuple[Word, ...] | UnsetType = UNSET


class Segments(msgspec.Struct, frozen=True, kw_only=True):
    """What was said last; never empty, and only the last of them may be incomplete."""

    uid: Uid
    segments: tuple[Segment, ...]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Send audio. Clients keep no transcript if the backend has another name."""

    uid: Uid
    message: str = "SERVER_READY"
    backend: str = "faster_whisper"


class Language(msgspec.Struct, frozen=True, kw_only=True):
    """The language that was heard."""

    uid: Uid
    language: str
    language_prob: float


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """WAIT comes with minutes, the others with a text. WAIT and ERROR end a client."""

    uid: Uid
    status: Literal["WAIT", "ERROR", "WARNING"]
    message: str | float


class Disconnect(msgspec.Struct, frozen=True, kw_only=True):
    """The session is over."""

    uid: Uid
    message: str = "DISCONNECT"


ServerMessage: TypeAlias = Segments | Ready | Language | Status | Disconnect

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[dict[str, object]] = msgspec.json.Decoder(dict[str, object])


def spelled(message: ServerMessage) -> str:
    """The text of one frame."""
    return _encoder.encode(message).decode()


def read_hello(text: str) -> Hello:
    """Read the handshake: of a field that is missing or strange the usual value. Raises a ClientError."""
    try:
        fields = _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        fields = {}
    uid = fields.get("uid")
    if not isinstance(uid, str | int) or len(str(uid)) > _MAX_UID_CHARS:
        message = f"the first frame must be a JSON object with a uid: a text of at most {_MAX_UID_CHARS} characters"
        raise InvalidMessage(message)
    audio_format = _text(fields, "audio_format") or "float32"
    if audio_format not in _ENCODINGS:
        raise UnsupportedAudio(f"audio_format must be one of {', '.join(_ENCODINGS)}")
    return Hello(
        uid=uid,
        start=SessionStart(
            audio=AudioFormat(encoding=_ENCODINGS[audio_format]),
            language=_language(fields),
            task="translate" if fields.get("task") == "translate" else "transcribe",
            hotwords=_hotwords(fields.get("hotwords")),
            prompt=_text(fields, "initial_prompt"),
        ),
        is_uint8=audio_format == "uint8",
        segments=_segments(fields.get("send_last_n_segments")),
        word_times=fields.get("word_timestamps") is True,
    )


def told_to_wait(hello: str, wait_s: float) -> str:
    """The answer to a handshake that comes when there is no room; raises a ClientError where it is none."""
    minutes = max(_LEAST_WAIT_MIN, round(wait_s / 60, 1))
    return spelled(Status(uid=read_hello(hello).uid, status="WAIT", message=minutes))


def _language(fields: dict[str, object]) -> str | None:
    """None has it detected, unless the model that is named knows English only."""
    language = _text(fields, "language").lower().partition("-")[0]
    if not language and _text(fields, "model").endswith(".en"):
        return "en"
    return language or None


def _segments(number: object) -> int:
    if isinstance(number, int) and not isinstance(number, bool) and number > 0:
        return min(number, _MAX_SEGMENTS)
    return _USUAL_SEGMENTS


def _hotwords(hotwords: object) -> tuple[str, ...]:
    """A text with commas, or a list of texts."""
    words = hotwords.split(",") if isinstance(hotwords, str) else hotwords if isinstance(hotwords, list) else []
    return tuple(word.strip() for word in words if isinstance(word, str) and word.strip())


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""
