"""WhisperLive's protocol, as its clients speak it on `/` and `/whisperlive` (docs/compatibility.md)."""

from collections import deque
from collections.abc import Sequence
from typing import Final, Literal

from bus.contract.client_protocol import AudioEnd
from bus.contract.errors import (
    AudioBeforeStart,
    BusUnavailable,
    Draining,
    HarkenError,
    IdleTimeout,
    InvalidMessage,
    NoWorker,
    Overloaded,
    SessionTooLong,
)
from bus.contract.work import SAMPLE_RATE_HZ
from stream_gateway.dialects.base import Action, Audio, Handshake
from stream_gateway.dialects.whisper_live_messages import (
    Disconnect,
    Hello,
    Language,
    Ready,
    Segment,
    Segments,
    ServerMessage,
    Status,
    Uid,
    Word,
    read_hello,
    spelled,
)
from stream_gateway.session import events

PATHS: Final = ("/", "/whisperlive")
_END_OF_AUDIO = "END_OF_AUDIO"
_SIGNED = bytes(value ^ 0x80 for value in range(256))
_WAIT_MIN = 1.0
"""What a client is told to wait that nobody can serve at the moment."""


class WhisperLiveDialect:
    """Keeps what was said last by one client, for each message says it again."""

    starts_late = False
    may_never_speak = False
    can_resume = False
    read_apart = None
    idle_timeout_s: float | None = None

    def __init__(self, _handshake: Handshake) -> None:
        self.offset_rate_hz = SAMPLE_RATE_HZ
        self._hello: Hello | None = None
        self._is_ready = False
        self._language_is_known = False
        self._completed: deque[Segment] = deque()
        self._completed_to_s = 0.0
        self._running: dict[int, Segment | None] = {}  # utterances that are not final, oldest first

    def on_open(self) -> Sequence[Action]:
        """The client speaks first."""
        return ()

    def on_text(self, text: str) -> Sequence[Action]:
        """The first frame is the handshake; after it only the end of the audio is known."""
        if text == _END_OF_AUDIO:
            return (AudioEnd(),)
        if self._hello is not None:
            raise InvalidMessage(f"after the handshake a text frame must be {_END_OF_AUDIO}")
        self._hello = read_hello(text)
        self._completed = deque(maxlen=self._hello.segments)
        self._language_is_known = self._hello.start.language is not None
        return (self._hello.start,)

    def on_binary(self, data: bytes) -> Sequence[Action]:
        """Audio, or its end, which could be three samples as well and is looked for first."""
        if data == _END_OF_AUDIO.encode():
            return (AudioEnd(),)
        if self._hello is None:
            raise AudioBeforeStart("the first frame must be a JSON object with a uid, before any audio")
        return (Audio(_widened(data) if self._hello.is_uint8 else data),)

    def render(self, event: events.SessionEvent) -> Sequence[str]:
        """Spell one session event; most that is not of text has no spelling here."""
        return [spelled(message) for message in self._translate(event)]

    def close(self, code: int, reason: str) -> tuple[int, str]:
        """A session whose time is up is over, as one that was finished."""
        return (1000 if reason in (IdleTimeout.code, SessionTooLong.code) else code), reason

    @property
    def _uid(self) -> Uid:
        return self._hello.uid if self._hello is not None else None

    def _translate(self, event: events.SessionEvent) -> Sequence[ServerMessage]:
        match event:
            case events.Started():
                self._is_ready = True
                return (Ready(uid=self._uid),)
            case events.SpeechStarted(segment):
                self._running[segment] = None
            case events.Partial():
                is_oldest = event.segment == next(iter(self._running))
                self._running[event.segment] = self._segment(event, completed=False)
                return [*self._language(event), *(self._segments() if is_oldest else ())]
            case events.Final():
                return self._complete(event)
            case events.Failed():
                del self._running[event.segment]
                return [self._status("WARNING", event.message), *self._segments()]
            case events.Fault(error, is_fatal):
                return (self._fault(error, is_fatal=is_fatal),)
            case events.Ended():
                return (Disconnect(uid=self._uid),)
            case _:
                pass  # speech that ends, audio that is stored, drains and chats are not known there
        return ()

    def _complete(self, event: events.Final) -> Sequence[ServerMessage]:
        del self._running[event.segment]
        if event.text:
            segment = self._segment(event, completed=True)
            self._completed.append(segment)
            self._completed_to_s = float(segment.end)
        return [*self._language(event), *self._segments()]

    def _segments(self) -> Sequence[ServerMessage]:
        """All that is to be said again, with the oldest utterance that is not final: nothing if there is nothing."""
        running = next(iter(self._running.values()), None)
        segments = (*self._completed, running) if running is not None else tuple(self._completed)
        return (Segments(uid=self._uid, segments=segments),) if segments else ()

    def _segment(self, event: events.Partial | events.Final, *, completed: bool) -> Segment:
        """Clients drop a segment that begins before the end of the one before it."""
        start_s = max(event.start_s, self._completed_to_s)
        segment = Segment(
            start=_seconds(start_s),
            end=_seconds(max(start_s, event.end_s)),
            text=f" {event.text}",
            completed=completed,
        )
        if self._hello is None or not self._hello.word_times:
            return segment
        words = tuple(
            Word(
                word=f" {word.text}",
                start=_seconds(word.start_s),
                end=_seconds(word.end_s),
                probability=round(word.probability, 4),
            )
            for word in event.words
        )
        return Segment(start=segment.start, end=segment.end, text=segment.text, completed=completed, words=words)

    def _language(self, event: events.Partial | events.Final) -> Sequence[ServerMessage]:
        if self._language_is_known or event.language is None:
            return ()
        self._language_is_known = True
        probability = round(event.language_probability, 4)
        return (Language(uid=self._uid, language=event.language, language_prob=probability),)

    def _fault(self, error: HarkenError, *, is_fatal: bool) -> ServerMessage:
        """ERROR ends a client for good: it is for what would fail again."""
        if not is_fatal:
            return self._status("WARNING", error.message)
        if not self._is_ready and isinstance(error, NoWorker | BusUnavailable | Overloaded | Draining):
            return self._status("WAIT", _WAIT_MIN)
        return self._status("WARNING" if error.retryable and self._is_ready else "ERROR", error.message)

    def _status(self, status: Literal["WAIT", "ERROR", "WARNING"], message: str | float) -> Status:
        return Status(uid=self._uid, status=status, message=message)


def _widened(data: bytes) -> bytes:
    """Unsigned 8-bit samples as signed 16-bit ones, little-endian."""
    wide = bytearray(2 * len(data))
    wide[1::2] = data.translate(_SIGNED)
    return bytes(wide)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
