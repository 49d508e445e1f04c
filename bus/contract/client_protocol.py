"""Native client protocol, version 1, as spoken on `/v1/stream` (docs/protocol.md).

Text frames are JSON objects with a `type`. Binary frames are audio in the announced encoding, contiguous from
`audio_offset`. Offsets count the client's own sample frames (one sample per channel), at `sample_rate`;
in a container they count 16 kHz samples. All times are seconds from the session's first sample.
Unknown fields are ignored, unknown types are answered with an `error`.
"""

from typing import Literal, TypeAlias

import msgspec

from bus.contract.client_chat import ChatCancel as ChatCancel
from bus.contract.client_chat import ChatCancelled as ChatCancelled
from bus.contract.client_chat import ChatCommand as ChatCommand
from bus.contract.client_chat import ChatConfigure as ChatConfigure
from bus.contract.client_chat import ChatDelta as ChatDelta
from bus.contract.client_chat import ChatDone as ChatDone
from bus.contract.client_chat import ChatEvent as ChatEvent
from bus.contract.client_chat import ChatFailed as ChatFailed
from bus.contract.client_chat import ChatOptions as ChatOptions
from bus.contract.client_chat import ChatRequest as ChatRequest
from bus.contract.client_chat import ChatReset as ChatReset
from bus.contract.client_chat import ChatSend as ChatSend
from bus.contract.client_chat import ChatStarted as ChatStarted
from bus.contract.client_chat import ChatTimes as ChatTimes
from bus.contract.client_chat import ChatTurnStored as ChatTurnStored
from bus.contract.client_chat import ChatUsage as ChatUsage
from bus.contract.client_chat import HeldAnswer as HeldAnswer
from bus.contract.decoding import decoded
from bus.contract.work import Task, Word

EndpointMode: TypeAlias = Literal["fixed", "adaptive"]

PATH = "/v1/stream"
ENCODINGS = ("linear16", "float32", "mulaw", "alaw", "container")
MIN_SAMPLE_RATE_HZ = 8_000
MAX_SAMPLE_RATE_HZ = 48_000
MAX_CHANNELS = 2


class AudioFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How the binary frames are to be read. `container` sniffs WAV, FLAC, MP3, Ogg, Opus, WebM or MP4."""

    encoding: str = "linear16"
    sample_rate: int = 16_000
    channels: int = 1
    channel_mode: Literal["mix", "separate"] = "mix"
    """Two channels are mixed to one, or transcribed apart (one person per side of a call)."""


class VadOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When an utterance begins and ends. None takes the service's default."""

    threshold: float | None = None
    """Speech probability, 0.05 to 0.95, from which a frame counts as speech."""
    endpoint_s: float | None = None
    """Silence that ends an utterance, 0.2 to 5 s."""
    max_utterance_s: float | None = None
    """Longest utterance before it is cut at its best pause, 5 to 28 s."""
    endpoint_mode: EndpointMode | None = None
    """`fixed`: always `endpoint_s`. `adaptive`: less after the end of a sentence, more in mid-phrase."""
    enabled: bool = True
    """False: everything is speech, and `audio.commit` ends an utterance."""


class SessionStart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="session.start"):
    """First message of a client."""

    audio: AudioFormat | None = AudioFormat()
    """None: this session has no audio, only chat."""
    language: str | None = None
    """ISO 639-1 code; None detects it on the first utterance and keeps it."""
    task: Task = "transcribe"
    model: str | None = None
    hotwords: tuple[str, ...] = ()
    prompt: str = ""
    vad: VadOptions = VadOptions()
    partials: bool = True
    word_times: bool = True
    chat: ChatOptions | None = None
    """None: nobody answers."""


class SessionResume(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="session.resume"):
    """First message of a client that lost its socket: what it has of the session, which goes on as it was started.

    What it has missed follows, then `session.resumed`.
    """

    session: str
    token: str
    """From `session.started`."""
    seq: int
    """Of the last event received; numbers go on behind it."""
    offset: int = 0
    """First sample that can still be sent: that of the last `audio.committed`."""
    segments: tuple[int, ...] = ()
    """For each channel the newest segment whose final, or failure, was received; 0 for none."""
    answer: HeldAnswer | None = None
    """The newest answer of which anything was received."""


class AudioCommit(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="audio.commit"):
    """The open utterance ends here, whatever voice activity detection makes of it; audio goes on."""


class AudioEnd(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="audio.end"):
    """No more audio and no more turns: all finals and the running answer follow, then `session.ended`."""


ClientMessage: TypeAlias = SessionStart | SessionResume | AudioCommit | AudioEnd | ChatCommand


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What this gateway holds a session to."""

    max_frame_bytes: int
    max_session_s: float
    idle_timeout_s: float
    max_buffered_audio_s: float


class ResumeGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a client that loses its socket needs to take the session up again, on any gateway."""

    token: str
    within_s: float
    """How long from now on it is good for."""


class SessionStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="session.started"):
    """The session is open; send audio from `audio_offset`."""

    seq: int
    session: str
    audio_offset: int
    sample_rate: int
    """Rate in which offsets count."""
    channels: int
    """Transcribed channels: 1, or 2 with `channel_mode: separate`; 0 without audio."""
    model: str
    """Empty without audio."""
    limits: Limits
    chat_model: str | None = None
    """Who answers; None if there is no chat, or no LLM worker at the moment."""
    resume: ResumeGrant | None = None
    """None: this session ends with its socket."""


class SessionResumed(SessionStarted, frozen=True, kw_only=True, tag_field="type", tag="session.resumed"):
    """All that was missed has been told. Send audio from `audio_offset`, which is not before the `offset` asked for.

    A segment without a final begins again, and its number may be another utterance's.
    """


class SpeechStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="speech.started"):
    """Someone began to speak at `start_s`."""

    seq: int
    segment: int
    channel: int
    start_s: float


class SpeechEnded(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="speech.ended"):
    """The utterance is over; its final follows."""

    seq: int
    segment: int
    channel: int
    end_s: float


class TranscriptPartial(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transcript.partial"):
    """A running utterance: `text` begins with `stable`, and `stable` only ever grows within a segment."""

    seq: int
    segment: int
    channel: int
    start_s: float
    end_s: float
    """End of the audio that this text covers."""
    stable: str
    text: str
    language: str | None = None


class StageTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of a final went, in seconds; `total_s` counts from the end of speech as received."""

    endpoint_s: float
    queue_s: float
    batch_wait_s: float
    encode_s: float
    decode_s: float
    publish_s: float
    total_s: float


class TranscriptFinal(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transcript.final"):
    """The text of a segment, stored before it is sent. Never changes. May be empty."""

    seq: int
    segment: int
    channel: int
    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]
    language: str | None
    model: str
    times: StageTimes


class TranscriptFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transcript.failed"):
    """A segment without text after all retries; the session goes on."""

    seq: int
    segment: int
    channel: int
    start_s: float
    end_s: float
    code: str
    message: str


class AudioCommitted(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="audio.committed"):
    """All audio before `offset` is transcribed and stored, or held no speech: the client may forget it."""

    seq: int
    offset: int
    time_s: float


class SessionEnded(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="session.ended"):
    """Last event of a session; the socket then closes with 1000."""

    seq: int
    reason: str
    audio_s: float
    segments: int


class SessionDraining(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="session.draining"):
    """The gateway is going away within `within_s`: finish, and open the next session elsewhere."""

    seq: int
    within_s: float


class ErrorEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """Something is wrong. If `fatal`, the socket closes next with the code of docs/errors.md."""

    seq: int
    code: str
    message: str
    retryable: bool
    fatal: bool


ServerEvent: TypeAlias = (
    SessionStarted
    | SessionResumed
    | SpeechStarted
    | SpeechEnded
    | TranscriptPartial
    | TranscriptFinal
    | TranscriptFailed
    | AudioCommitted
    | ChatEvent
    | SessionEnded
    | SessionDraining
    | ErrorEvent
)

_encoder = msgspec.json.Encoder()
_event_decoder: msgspec.json.Decoder[ServerEvent] = msgspec.json.Decoder(ServerEvent)


def encode_message(message: ClientMessage | ServerEvent) -> str:
    """Encode either side's message as the text of one frame."""
    return _encoder.encode(message).decode()


def decode_event(text: str | bytes) -> ServerEvent:
    """Decode a server event; ValueError if it is none (a newer server may send types unknown here)."""
    return decoded(_event_decoder.decode, text, "a server event")
