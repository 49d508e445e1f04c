"""Builders for the session machine: a harness that plays its shell with a clock that only tests move."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from bus.contract.records import SegmentRecord
from bus.contract.work import SAMPLE_RATE_HZ, AsrResult, Failure, Timings, Word
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES
from stream_gateway.session.config import SessionConfig, SessionLimits
from stream_gateway.session.effects import Close, Decode, Dropped, Effect, Emit, Store
from stream_gateway.session.events import SessionEvent
from stream_gateway.session.session import Session
from stream_gateway.session.utterance import FinalWindow

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
SPEECH = 0.9
QUIET = 0.02
LIMITS = SessionLimits(
    start_timeout_s=10.0,
    idle_timeout_s=60.0,
    max_session_s=600.0,
    max_buffered_audio_s=30.0,
    ending_timeout_s=120.0,
    max_client_errors=3,
)
"""Short enough that each can be reached in a test."""
T = TypeVar("T")


def a_config(**changes: Any) -> SessionConfig:
    return SessionConfig(**{"session": "s1", "tenant": "acme", "model": "base", "partials": False, **changes})


def a_final_window(segment: int = 1, *, channel: int = 0, start_s: float = 1.0, end_s: float = 3.0) -> FinalWindow:
    """Speech from `start_s` to `end_s` with 0.1 s around it."""
    return FinalWindow(
        segment=segment,
        channel=channel,
        start_sample=samples(start_s - 0.1),
        end_sample=samples(end_s + 0.1),
        speech_start_sample=samples(start_s),
        speech_end_sample=samples(end_s),
    )


def a_result(decode: Decode, text: str = "hello there", **changes: Any) -> AsrResult:
    """An answer whose words lie evenly in the window."""
    start_s, end_s = decode.start_sample / SAMPLE_RATE_HZ, decode.end_sample / SAMPLE_RATE_HZ
    spelled = text.split()
    step_s = (end_s - start_s) / max(1, len(spelled))
    words = tuple(
        Word(word, start_s + index * step_s, start_s + (index + 1) * step_s, 0.9) for index, word in enumerate(spelled)
    )
    fields = {
        "session": "s1",
        "segment": decode.segment,
        "window": decode.window,
        "kind": decode.kind,
        "text": text,
        "words": words,
        "language": "en",
        "language_probability": 0.9,
        "model": "base",
    }
    return AsrResult(**{**fields, **changes})


def a_failure(decode: Decode, code: str = "decode_failed") -> AsrResult:
    return a_result(decode, "", failure=Failure(code, "the window could not be decoded"))


def some_timings() -> Timings:
    return Timings(queue_s=0.1, batch_wait_s=0.2, features_s=0.3, encode_s=0.4, decode_s=0.5, batch_size=1)


def samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


def of_type(effects: list[Effect], kind: type[T]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def emitted(effects: list[Effect], kind: type[T]) -> list[T]:
    return [effect.event for effect in effects if isinstance(effect, Emit) and isinstance(effect.event, kind)]


class Harness:
    """Plays audio in real time and keeps every effect. What is published is taken at once; tests answer and store."""

    def __init__(self, *, limits: SessionLimits | None = None, **config: Any) -> None:
        self.now = 100.0
        self.received_sample = 0
        self.effects: list[Effect] = []
        self.publish_succeeds = True
        self.config = a_config(**config)
        self.session = Session(limits=limits or SessionLimits(), now=self.now)

    def start(self) -> "Harness":
        self.do(lambda: self.session.on_start(self.config, self.now))
        return self

    def do(self, act: Callable[[], list[Effect]]) -> list[Effect]:
        """Perform one input and what the shell does at once for its effects; returns those of this call."""
        since = len(self.effects)
        pending = act()
        while pending:
            self.effects += pending
            decodes = of_type(pending, Decode)
            pending = []
            for decode in decodes:
                pending += self.session.on_published(decode, self.now, succeeded=self.publish_succeeds)
                pending += self.session.on_taken(decode, self.now)
                if decode.kind == "final":
                    pending += self.session.on_noticed(decode.segment, decode.window, self.now)
        return self.effects[since:]

    def hear(self, *scores_of_channels: float, seconds: float) -> list[Effect]:
        """Real time passes while every channel has its score."""
        since = len(self.effects)
        for _ in range(round(seconds / FRAME_S)):
            self.now += FRAME_S
            self.received_sample += FRAME_SAMPLES
            self.session.on_audio(self.received_sample, self.now)
            for channel, score in enumerate(scores_of_channels):
                self.do(partial(self.session.on_scores, channel, [score], self.now))
        return self.effects[since:]

    def speech(self, seconds: float) -> list[Effect]:
        return self.hear(SPEECH, seconds=seconds)

    def silence(self, seconds: float) -> list[Effect]:
        return self.hear(QUIET, seconds=seconds)

    def utterance(self, seconds: float = 1.0) -> Decode:
        """Someone speaks and stops; returns the request for the final."""
        since = len(self.effects)
        self.speech(seconds)
        self.silence(0.6)
        return [decode for decode in of_type(self.effects[since:], Decode) if decode.kind == "final"][-1]

    def pass_time(self, seconds: float) -> list[Effect]:
        """Only wall time passes: timers fire, as a shell would fire them."""
        since = len(self.effects)
        until = self.now + seconds
        while (deadline := self.session.deadline(self.now)) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.do(lambda: self.session.on_time(self.now))
            after = self.session.deadline(self.now)
            assert after is None or after > self.now, "a timer that does not move on is a busy loop"
        self.now = until
        return self.effects[since:]

    def answer(self, decode: Decode, text: str = "hello there", **changes: Any) -> list[Effect]:
        return self.do(lambda: self.session.on_result(a_result(decode, text, **changes), self.now))

    def store(self, *, succeeded: bool = True) -> list[Effect]:
        """Report on the newest record handed out for storing."""
        return self.do(lambda: self.session.on_stored(self.records()[-1], self.now, succeeded=succeeded))

    def settle(self, decode: Decode, text: str = "hello there") -> list[Effect]:
        """A whole final: answered and stored."""
        return self.answer(decode, text) + self.store()

    def records(self) -> list[SegmentRecord]:
        return [store.record for store in of_type(self.effects, Store)]

    def events(self) -> list[SessionEvent]:
        return [effect.event for effect in of_type(self.effects, Emit)]

    def closes(self) -> list[Close]:
        return of_type(self.effects, Close)

    def drops(self) -> Iterator[tuple[str, str]]:
        return ((dropped.what, dropped.reason) for dropped in of_type(self.effects, Dropped))


def a_session(**config: object) -> Harness:
    """A session that was started, under `LIMITS`."""
    return Harness(limits=LIMITS, **config).start()
