"""What a Deepgram client reads, field by field as its SDK declares them. All times are seconds of audio."""

from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType


class SpokenWord(msgspec.Struct, frozen=True, kw_only=True):
    """One word of an alternative."""

    word: str
    start: float
    end: float
    confidence: float
    punctuated_word: str | UnsetType = UNSET


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """What was said; there is always exactly one."""

    transcript: str
    confidence: float
    words: tuple[SpokenWord, ...]
    languages: tuple[str, ...] | UnsetType = UNSET


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """The channel of a result."""

    alternatives: tuple[Alternative, ...]


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who transcribed."""

    name: str
    version: str
    arch: str


class ResultsMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The same in all results of a session."""

    request_id: str
    model_info: ModelInfo
    model_uuid: str


class Results(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="Results"):
    """The text of [start, start + duration), to be revised unless `is_final`."""

    channel_index: tuple[int, int]
    duration: float
    start: float
    is_final: bool
    speech_final: bool
    channel: Channel
    metadata: ResultsMetadata
    from_finalize: bool


class Metadata(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="Metadata"):
    """The last message."""

    transaction_key: str
    request_id: str
    sha256: str
    created: str
    duration: float
    channels: int


class SpeechStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="SpeechStarted"):
    """Somebody began to speak."""

    channel: tuple[int, int]
    timestamp: float


class UtteranceEnd(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="UtteranceEnd"):
    """Nobody has said a word for a while."""

    channel: tuple[int, int]
    last_word_end: float


class Configure(msgspec.Struct, frozen=True, kw_only=True):
    """What a client changes of a stream; what is not there stays."""

    keyterms: tuple[str, ...] | None = None
    """All of them, in place of those before."""
    features: dict[str, bool] | None = None


class ConfigureSuccess(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ConfigureSuccess"):
    """Everything was changed."""

    request_id: str
    keyterms: tuple[str, ...] | UnsetType = UNSET
    """Those that count from now on, if they were changed."""


class ConfigureFailure(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ConfigureFailure"):
    """Nothing was changed."""

    request_id: str
    code: str
    description: str


class Error(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="Error"):
    """Something is wrong."""

    variant: str
    description: str
    message: str | UnsetType = UNSET
    """What the client sent, if that was it."""


ServerMessage: TypeAlias = (
    Results | Metadata | SpeechStarted | UtteranceEnd | ConfigureSuccess | ConfigureFailure | Error
)

_encoder = msgspec.json.Encoder()


def spelled(message: ServerMessage) -> str:
    """The text of one frame."""
    return _encoder.encode(message).decode()
