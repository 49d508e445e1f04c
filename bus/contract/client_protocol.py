"""Native client protocol, version 1, as spoken on `/v1/stream` (docs/protocol.md).

Text frames are JSON objects with a `type`. Binary frames are audio in the announced encoding, contiguous from
`audio_offset`. Offsets count the client's own sample frames (one sample per channel), at `sample_rate`;
in a container they count 16 kHz samples. All times are seconds from the session's first sample.
Unknown fields are ignored, unknown types are answered with an `error`.
"""

from typing import Literal, TypeAlias

import msgspec

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


class AudioCommit(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="audio.commit"):
    """The open utterance ends here, whatever voice activity detection makes of it; audio goes on."""


class AudioEnd(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="audio.end"):
    """No more audio and no more turns: all finals and the running answer follow, then `session.ended`."""


class ChatSend(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.send"):
    """A typed turn. It stops an answer that is running."""

    text: str
    answer: bool = True
    """False: it is remembered, and not answered yet."""


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.request"):
    """Answer what was said or typed since the last answer, or try again where the last one failed."""


class ChatCancel(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.cancel"):
    """Stop the running answer, if there is one; what was delivered of it stays in the conversation."""


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
ClientMessage: TypeAlias = SessionStart | AudioCommit | AudioEnd | ChatCommand


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What this gateway holds a session to."""

    max_frame_bytes: int
    max_session_s: float
    idle_timeout_s: float
    max_buffered_audio_s: float


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


class ChatStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="chat.started"):
    """An answer was asked for; its deltas follow. One answer runs at a time."""

    seq: int
    answer: int
    """Number of the answer within the session, from 1."""
    model: str


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
    | SpeechStarted
    | SpeechEnded
    | TranscriptPartial
    | TranscriptFinal
    | TranscriptFailed
    | AudioCommitted
    | ChatStarted
    | ChatDelta
    | ChatDone
    | ChatCancelled
    | ChatFailed
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
    try:
        return _event_decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a server event: {error}") from None
