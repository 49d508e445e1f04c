"""What a session tells its client, free of any dialect. Dialects translate these; the outbox queues them.

All times are audio time in seconds from the session's first sample, all samples are at 16 kHz.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from bus.contract.chat_work import FinishReason
from bus.contract.client_protocol import ChatTimes, ChatUsage, ResumeGrant, StageTimes
from bus.contract.errors import HarkenError
from bus.contract.work import Word


@dataclass(frozen=True, slots=True)
class Started:
    """The session is open."""

    session: str
    model: str
    """Empty if the session has no audio."""
    channels: int
    chat_model: str | None = None
    """None if nobody answers, or nobody can at the moment."""
    resume: ResumeGrant | None = field(default=None, repr=False)
    """None: the session ends with its socket."""


@dataclass(frozen=True, slots=True)
class Missed:
    """What was told of the session, or would have been, while its client was away; in order."""

    events: tuple["SessionEvent", ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resumed(Started):
    """The session goes on on this socket; all that was missed has been told."""

    audio_offset: int = 0
    """From where on the client sends its audio, in its own samples."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """An utterance was opened."""

    segment: int
    channel: int
    start_s: float


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """An utterance is over; `Final` or `Failed` of the same segment follows."""

    segment: int
    channel: int
    end_s: float
    reason: Literal["silence", "max_length", "commit", "flush"] = "silence"
    """Who ended it: its speaker, its length, the client, or the end of the audio."""


@dataclass(frozen=True, slots=True)
class Partial:
    """The running text of an open utterance; a newer one replaces it."""

    segment: int
    channel: int
    start_s: float
    end_s: float
    stable: str
    text: str
    language: str | None
    lag_s: float
    """Wall time from the newest sample of its window to this event."""
    words: tuple[Word, ...] = ()
    language_probability: float = 0.0


@dataclass(frozen=True, slots=True)
class Final:
    """The stored text of a segment."""

    segment: int
    channel: int
    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]
    language: str | None
    model: str
    times: StageTimes
    language_probability: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """A segment without text after all retries."""

    segment: int
    channel: int
    start_s: float
    end_s: float
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SpeechCleared:
    """The client took an open utterance back: nothing follows of its segment."""

    segment: int
    channel: int


@dataclass(frozen=True, slots=True)
class CommitDone:
    """A commit of the client was carried out; whatever it ended was told before."""

    ended: bool
    """Whether there was anything to end."""


@dataclass(frozen=True, slots=True)
class Committed:
    """All audio before `sample` is stored as text or held no speech."""

    sample: int


@dataclass(frozen=True, slots=True)
class Flushed:
    """All that was said until the client's commit at `sample` is final, and was told. One for each commit."""

    sample: int


@dataclass(frozen=True, slots=True)
class AnswerWanted:
    """What became of an `AskAnswer`: if accepted, its answer begins once nobody speaks."""

    key: str
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStored:
    """A turn of the user is in the record."""

    turn: int
    source: Literal["speech", "typed"]
    segment: int | None = None
    """Of a spoken turn."""
    id: str | None = None
    """The client's own name for a typed turn."""


@dataclass(frozen=True, slots=True)
class ChatStarted:
    """An answer was asked for."""

    answer: int
    model: str
    id: str | None = None
    """The client's name for what it answers."""


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """The next piece of an answer."""

    answer: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatDone:
    """An answer is complete."""

    answer: int
    text: str = field(repr=False)
    finish_reason: FinishReason
    usage: ChatUsage
    times: ChatTimes
    model: str


@dataclass(frozen=True, slots=True)
class ChatCancelled:
    """An answer was stopped."""

    answer: int
    text: str = field(repr=False)
    reason: Literal["client", "speech", "turn", "session"]


@dataclass(frozen=True, slots=True)
class ChatFailed:
    """An answer has no end."""

    answer: int
    text: str = field(repr=False)
    error: HarkenError


@dataclass(frozen=True, slots=True)
class Fault:
    """Something is wrong; if `fatal`, the socket closes next."""

    error: HarkenError
    fatal: bool


@dataclass(frozen=True, slots=True)
class Spelled:
    """A text frame that a dialect has spelled already; the machine never emits it."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Deferred:
    """Frames that a dialect spells when it is their turn; the machine never emits it."""

    spell: Callable[[], Sequence[str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DrainNotice:
    """The gateway goes away within `within_s`."""

    within_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing follows."""

    reason: str
    audio_s: float
    segments: int


ChatEvent: TypeAlias = TurnStored | ChatStarted | ChatDelta | ChatDone | ChatCancelled | ChatFailed
SessionEvent: TypeAlias = (
    Started
    | Missed
    | Resumed
    | SpeechStarted
    | SpeechEnded
    | SpeechCleared
    | CommitDone
    | Partial
    | Final
    | Failed
    | Committed
    | Flushed
    | AnswerWanted
    | ChatEvent
    | Fault
    | DrainNotice
    | Spelled
    | Deferred
    | Ended
)
