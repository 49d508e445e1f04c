"""From what a client asked for to what its session will do; everything out of range is named here, at the boundary."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bus.contract.client_protocol import ResumeGrant, SessionStart, VadOptions
from bus.contract.errors import InvalidMessage
from bus.contract.work import Task
from stream_gateway.chat.answer import LlmWorkers
from stream_gateway.chat.options import ChatConfig, check_chat
from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.policy.pool import Pool
from stream_gateway.segmentation.segmenter import SegmenterOptions
from stream_gateway.session.languages import LANGUAGES

MAX_PROMPT_CHARS: Final = 1000
MAX_HOTWORDS: Final = 100
MAX_HOTWORDS_CHARS: Final = 1000
"""In all of them together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOptions:
    """How long a final may take before it is tried again. Wall time."""

    deadline_s: float = 30.0
    """A window that a worker took and did not answer for this long is published again. The broker itself hands a dead
    worker's window to another after `ack_wait`, and unanswered work is published again when the bus comes back; this
    is for what neither sees. It does not run while the window queues: work done twice makes a busy pool busier."""
    max_misses: int = 3
    max_failures: int = 4
    """Of a window that one worker alone says it cannot decode, each after all its deliveries: more than a worker that
    can decode nothing lives to give. Where a second one says so it has failed."""
    max_queued_s: float = 630.0
    """A window that nobody took for this long has expired in the broker and is published again. To be above the age
    at which it expires there (`AssetLimits.finals_max_age_s`)."""
    max_in_broker: int = 4
    """Finals of one session with the broker at a time: a file sent in one piece does not queue in front of people who
    speak."""
    backoff_s: float = 0.25
    max_backoff_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """Bounds of one session, in seconds of wall time unless named otherwise."""

    start_timeout_s: float = 10.0
    idle_timeout_s: float = 120.0
    max_session_s: float = 4 * 3600.0
    max_buffered_audio_s: float = 60.0
    """Audio time. Above it the socket is not read until finals are stored."""
    ending_timeout_s: float = 720.0
    """How long the next final may take after the last audio: longer than a final with its time in the queue and all its
    retries."""
    max_client_errors: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """One session's resolved wishes."""

    session: str
    tenant: str
    model: str
    channels: int = 1
    """0 without audio."""
    language: str | None = None
    task: Task = "transcribe"
    partials: bool = True
    word_times: bool = True
    vad: bool = True
    """Without it everything is speech, and the client ends an utterance."""
    follow_partials: bool = True
    """Finals go on after what was shown as stable, also while there is time to search for something better."""
    segmenter: SegmenterOptions = field(default_factory=SegmenterOptions)
    endpoint: EndpointOptions = field(default_factory=EndpointOptions)
    retry: RetryOptions = field(default_factory=RetryOptions)
    pool: Pool = field(default_factory=Pool)
    """Who decodes, as the gateway has measured them; shared with other sessions."""
    chat: ChatConfig | None = None
    resume: ResumeGrant | None = field(default=None, repr=False)
    """What the client takes the session up again with; None: it ends with its socket."""
    llm: LlmWorkers | None = None
    """Who answers, as the gateway hears of them; shared with other sessions. Set if `chat` is."""


def check_start(start: SessionStart) -> None:
    """Raise InvalidMessage that names the first field outside its range. Audio is checked by the audio decoder."""
    if start.language is not None and start.language not in LANGUAGES:
        raise InvalidMessage(
            "language must be an ISO 639-1 code that Whisper knows, such as en, de, fr, es, it, zh or ja; "
            "leave it out to have it detected"
        )
    if len(start.prompt) > MAX_PROMPT_CHARS:
        raise InvalidMessage(f"prompt may have {MAX_PROMPT_CHARS} characters, it has {len(start.prompt)}")
    if not hotwords_fit(start.hotwords):
        raise InvalidMessage(f"hotwords may be {MAX_HOTWORDS} words of {MAX_HOTWORDS_CHARS} characters in all")
    if start.audio is None and start.chat is None:
        raise InvalidMessage("a session needs audio, chat or both")
    if start.chat is not None:
        check_chat(start.chat)
    if not start.vad.enabled and (start.vad.threshold is not None or start.vad.endpoint_s is not None):
        raise InvalidMessage("vad.threshold and vad.endpoint_s mean nothing with vad.enabled false; leave them out")
    _check_range("vad.threshold", start.vad.threshold, 0.05, 0.95)
    _check_range("vad.endpoint_s", start.vad.endpoint_s, 0.2, 5.0)
    _check_range("vad.max_utterance_s", start.vad.max_utterance_s, 5.0, 28.0)


def hotwords_fit(hotwords: Sequence[str]) -> bool:
    """Whether a session takes so many words."""
    return len(hotwords) <= MAX_HOTWORDS and sum(map(len, hotwords)) <= MAX_HOTWORDS_CHARS


def segmenter_options(vad: VadOptions, defaults: SegmenterOptions) -> SegmenterOptions:
    """The service's segmentation with a client's wishes applied; `vad` must have passed `check_start`."""
    threshold = defaults.threshold if vad.threshold is None else vad.threshold
    endpoint_s = defaults.endpoint_s if vad.endpoint_s is None else vad.endpoint_s
    max_utterance_s = defaults.max_utterance_s if vad.max_utterance_s is None else vad.max_utterance_s
    tentative_s = min(defaults.tentative_s, endpoint_s)
    return replace(
        defaults,
        threshold=threshold,
        release_threshold=defaults.release_threshold if vad.threshold is None else None,
        endpoint_s=endpoint_s,
        tentative_s=tentative_s,
        post_roll_s=min(defaults.post_roll_s, tentative_s),
        max_utterance_s=max_utterance_s,
        cut_search_s=min(defaults.cut_search_s, 0.4 * max_utterance_s),
    )


def endpoint_options(vad: VadOptions, defaults: EndpointOptions) -> EndpointOptions:
    """The service's way to end utterances, unless the client names one."""
    return defaults if vad.endpoint_mode is None else replace(defaults, mode=vad.endpoint_mode)


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise InvalidMessage(f"{name} must be from {low:g} to {high:g}")
