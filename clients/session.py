"""One client session as a machine: frames out, frames in, no socket, no clock.

Phases: OPENING -> OPEN -> ENDING (after `audio.end`) -> ENDED, and FAILED from any of them. The shell
    1. sends `start_frame()`, then feeds `on_text` until the phase is no longer OPENING,
    2. sends what `audio_frames`, `chat_frame` and `end_frame` give while it feeds every text frame to `on_text`,
    3. reports the end of the socket to `on_close`,
and looks at `failure` after each step. Once ENDED or FAILED, the phase stays.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, assert_never, get_args

import msgspec

from bus.contract.client_protocol import (
    AudioCommit,
    AudioCommitted,
    AudioEnd,
    ChatCancelled,
    ChatCommand,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ChatStarted,
    ChatTurnStored,
    ErrorEvent,
    ServerEvent,
    SessionDraining,
    SessionEnded,
    SessionStart,
    SessionStarted,
    SpeechEnded,
    SpeechStarted,
    TranscriptFailed,
    TranscriptFinal,
    TranscriptPartial,
    decode_event,
    encode_message,
)
from bus.contract.errors import HarkenError, InternalError, NoChat
from clients.failures import NotHarken, SessionOver, as_refusal, from_close, from_code
from clients.replay import ReplayBuffer

MAX_REPLAY_BYTES = 32 * 1024 * 1024
"""17 minutes of 16 kHz linear16 mono, 87 s of 48 kHz float32 stereo: far more than a gateway lets wait."""

_SAMPLE_BYTES: Final = {"linear16": 2, "float32": 4, "mulaw": 1, "alaw": 1}
_KNOWN_TYPES: Final = frozenset(kind.__struct_config__.tag for kind in get_args(ServerEvent))


class Phase(StrEnum):
    """Where a session stands."""

    OPENING = "opening"
    OPEN = "open"
    ENDING = "ending"
    ENDED = "ended"
    FAILED = "failed"


class _Envelope(msgspec.Struct):
    """The part of an event that every version of the protocol has."""

    type: str
    seq: int | None = None


class ClientSession:
    """Sans-I/O client of protocol v1. Not thread-safe; no method blocks or waits."""

    def __init__(self, start: SessionStart, *, max_replay_bytes: int = MAX_REPLAY_BYTES) -> None:
        self._start = start
        self._max_replay_bytes = max_replay_bytes
        self._last_seq: int | None = None
        self.phase = Phase.OPENING
        self.started: SessionStarted | None = None
        self.failure: HarkenError | None = None
        """Why the session failed; set exactly when the phase is FAILED."""
        self.draining_within_s: float | None = None
        """Set once the gateway announced that it goes away."""
        self.missed_events = 0
        """Gaps seen in `seq`, in events."""
        self.committed_offset = 0
        """Audio before this is transcribed and stored, or held no speech."""
        self.replay: ReplayBuffer | None = None
        """Audio not yet committed. None before the start, without audio, and always for containers: their offsets
        count decoded samples, so bytes cannot be found by offset."""

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will come: ENDED or FAILED."""
        return self.phase in (Phase.ENDED, Phase.FAILED)

    def opened(self) -> SessionStarted:
        """Give what the service announced at the start.

        Raises the failure of the session, or SessionOver before the start and once nothing more may be sent.
        """
        if self.failure is not None:
            raise self.failure
        if self.started is None:
            raise SessionOver("the session is not open yet")
        if self.phase is not Phase.OPEN:
            raise SessionOver("nothing can be sent after the end of the session")
        return self.started

    def start_frame(self) -> str:
        """Give the first text frame."""
        return encode_message(self._start)

    def audio_frames(self, data: bytes) -> Iterator[bytes]:
        """Cut audio into binary frames within the service's limit, each kept for replay as it is taken.

        Take a frame only to send it. Raises the failure of the session, SessionOver once it is ending, or NoChat
        if it has no audio.
        """
        started = self._opened_with_audio()
        for position in range(0, len(data), started.limits.max_frame_bytes):
            frame = data[position : position + started.limits.max_frame_bytes]
            if self.replay is not None:
                self.replay.append(frame)
            yield frame

    def commit_frame(self) -> str:
        """Give the text frame that ends the open utterance here. Raises as `audio_frames` does."""
        self._opened_with_audio()
        return encode_message(AudioCommit())

    def chat_frame(self, command: ChatCommand) -> str:
        """Give the text frame of a turn, or of a change to the chat.

        Raises the failure of the session, SessionOver once it is ending, or NoChat if nobody answers in it.
        """
        self.opened()
        if self._start.chat is None:
            raise NoChat("this session has no chat: open it with chat options")
        return encode_message(command)

    def end_frame(self) -> str | None:
        """Give the text frame that ends the session, or None if it was given before or the session has ended.

        Raises the failure of the session.
        """
        if self.failure is not None:
            raise self.failure
        if self.phase is not Phase.OPEN:
            return None
        self.phase = Phase.ENDING
        return encode_message(AudioEnd())

    def on_text(self, text: str) -> ServerEvent | None:
        """Take one text frame of the service; gives its event, or None if there is nothing to hand on.

        None: a type unknown here, anything after the end, an event seen before (`seq` not above the last), or a
        frame that breaks the protocol (then `failure` is set). A fatal `error` sets `failure` and is given too.
        """
        if self.is_over:
            return None
        try:
            envelope = msgspec.json.decode(text, type=_Envelope)
            if not self._is_news(envelope.seq) or envelope.type not in _KNOWN_TYPES:
                return None
            event = decode_event(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._break(str(error))
            return None
        return self._apply(event)

    def on_close(self, code: int | None, reason: str) -> None:
        """Take the end of the socket; before `session.ended` it is a failure. `code` None: no close frame came."""
        if not self.is_over:
            self._fail(from_close(code, reason))

    def _apply(self, event: ServerEvent) -> ServerEvent | None:
        if (self.phase is Phase.OPENING) != isinstance(event, SessionStarted) and not isinstance(event, ErrorEvent):
            self._break("session.started must come first, and once")
            return None
        match event:
            case SessionStarted():
                if event.limits.max_frame_bytes < 1 or event.audio_offset < 0:
                    self._break("max_frame_bytes must be positive, and audio_offset not negative")
                    return None
                self._open(event)
            case AudioCommitted():
                self._commit(event.offset)
            case SessionDraining():
                self.draining_within_s = event.within_s
            case SessionEnded():
                self.phase = Phase.ENDED
            case ErrorEvent():
                if event.fatal:
                    self._fail(from_code(event.code, event.message, retryable=event.retryable))
            case SpeechStarted() | SpeechEnded() | TranscriptPartial() | TranscriptFinal() | TranscriptFailed():
                pass
            case ChatTurnStored() | ChatStarted() | ChatDelta() | ChatDone() | ChatCancelled() | ChatFailed():
                pass
            case _:
                assert_never(event)
        return event

    def _opened_with_audio(self) -> SessionStarted:
        started = self.opened()
        if self._start.audio is None:
            raise NoChat("this session has no audio, only chat")
        return started

    def _open(self, started: SessionStarted) -> None:
        self.phase = Phase.OPEN
        self.started = started
        self.committed_offset = started.audio_offset
        audio = self._start.audio
        sample_bytes = None if audio is None else _SAMPLE_BYTES.get(audio.encoding)
        if audio is not None and sample_bytes is not None:
            self.replay = ReplayBuffer(
                frame_bytes=sample_bytes * audio.channels,
                max_bytes=self._max_replay_bytes,
                start_offset=started.audio_offset,
            )

    def _commit(self, offset: int) -> None:
        self.committed_offset = max(self.committed_offset, offset)
        if self.replay is not None:
            self.replay.commit(offset)

    def _is_news(self, seq: int | None) -> bool:
        if seq is None:
            return True
        last, self._last_seq = self._last_seq, seq
        if last is None:
            return True
        if seq <= last:
            self._last_seq = last
            return False
        self.missed_events += seq - last - 1
        return True

    def _break(self, detail: str) -> None:
        if self.phase is Phase.OPENING:
            self._fail(NotHarken(f"what answers does not speak Harken's protocol v1: {detail}"))
        else:
            self._fail(InternalError(f"the service broke protocol v1: {detail}"))

    def _fail(self, error: HarkenError) -> None:
        self.failure = as_refusal(error) if self.phase is Phase.OPENING else error
        self.phase = Phase.FAILED
