"""What the session machine asks of its shell. The shell performs effects in order and reports back by `on_*`."""

from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, TypeAlias

from bus.contract.chat_work import ChatMessage
from bus.contract.client_protocol import ChatOptions
from bus.contract.records import ChatTurn, SegmentRecord
from bus.contract.work import WindowKind
from stream_gateway.session.events import SessionEvent

CancelReason: TypeAlias = Literal["speech_resumed", "answered"]


@dataclass(frozen=True, slots=True)
class Emit:
    """Queue an event for the client."""

    event: SessionEvent


@dataclass(frozen=True, slots=True)
class Decode:
    """Publish the window `start_sample`..`end_sample` of `channel`; report by `on_published`, then `on_taken`."""

    kind: WindowKind
    segment: int
    channel: int
    window: int
    attempt: int
    start_sample: int
    end_sample: int
    language: str | None
    word_times: bool
    prior_samples: int = 0
    """Of the window's head: there to be heard only, its text is `prior_text`."""
    prior_text: str = field(default="", repr=False)
    draft: str = field(default="", repr=False)
    draft_end_sample: int = 0
    hurried: bool = False
    """The pool lags: a text that is a little worse will do."""
    hedge: bool = False
    """A worker has this window already: this attempt is for another one."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Tell workers that nobody waits for a final window. Nothing depends on it, so nothing is reported."""

    segment: int
    window: int
    reason: CancelReason


@dataclass(frozen=True, slots=True)
class Store:
    """Store a record durably, once; report by `on_stored`."""

    record: SegmentRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Publish a request for an answer, to one worker or to all of a pool; report by `on_asked`."""

    answer: int
    attempt: int
    pool: str
    model: str
    worker: str | None
    """Asked directly, because it served this conversation before; None: whoever has time."""
    messages: tuple[ChatMessage, ...] = field(repr=False)
    prefill: str = field(repr=False)
    is_continuation: bool
    """Another attempt was made before, by whichever gateway."""
    max_tokens: int
    temperature: float
    deadline_s: float


@dataclass(frozen=True, slots=True)
class StopAnswer:
    """Tell workers that nobody waits for these attempts. Nothing depends on it, so nothing is reported."""

    answer: int
    upto_attempt: int


@dataclass(frozen=True, slots=True)
class StoreTurn:
    """Store a turn of the chat durably, once; report by `on_turn_stored`."""

    turn: ChatTurn


@dataclass(frozen=True, slots=True)
class SaveChat:
    """Keep the conversation in the session record. Only the newest matters, and nothing is reported.

    All turns that it counts are stored: who takes the session up adds to it what the record has after them.
    """

    options: ChatOptions = field(repr=False)
    messages: tuple[ChatMessage, ...] = field(repr=False)
    _: KW_ONLY
    turns: int
    answers: int


@dataclass(frozen=True, slots=True)
class Release:
    """Audio of `channel` before `before_sample` will not be asked for again."""

    channel: int
    before_sample: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something was given up on purpose: count it under `reason`."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket with `code` once everything emitted was sent."""

    code: int
    reason: str


ChatEffect: TypeAlias = Ask | StopAnswer | StoreTurn | SaveChat
Effect: TypeAlias = Emit | Decode | Cancel | Store | Release | Dropped | Close | ChatEffect
