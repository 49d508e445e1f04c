"""One client session as a machine: frames out, frames in, no socket, no clock.

Phases: OPENING -> OPEN -> ENDING (after `audio.end`) -> ENDED, and FAILED from any of them. A session that can be
resumed does not fail with its socket: it is AWAY until there is another one, RESUMING until the service has told what
was missed, and then where it was. The shell
    1. sends `start_frame()`, then feeds `on_text` until the phase is no longer OPENING,
    2. puts into `sending()` what comes, sends what `next_frame` gives, and feeds every text frame to `on_text`,
    3. reports the end of the socket to `on_close`. If the phase is AWAY then, it opens another one, sends
       `resume_frame()` and feeds `on_text` until the session `is_resuming` no more. `on_resume_failed` and another try
       where that fails, `give_up` at some point,
and looks at `failure` after each step. Once ENDED or FAILED, the phase stays.

Where the session `should_move`, step 3 comes while the socket is still there, and nobody notices. Between
`resume_frame` and its answer nothing that comes on the old socket may be fed, and nothing ever once `has_moved`.
"""

from enum import StrEnum
from math import inf
from typing import Final, assert_never, get_args

import msgspec

from bus.contract.client_protocol import (
    AudioCommitted,
    ChatCancelled,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ChatStarted,
    ChatTurnStored,
    ErrorEvent,
    ResumeGrant,
    ServerEvent,
    SessionDraining,
    SessionEnded,
    SessionResumed,
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
from bus.contract.errors import CannotResume, HarkenError, IdleTimeout, InternalError, SessionTaken, Unauthorized
from clients.failures import ConnectionLost, NotHarken, SessionOver, as_refusal, from_close, from_code
from clients.held import HeldEvents
from clients.outgoing import Outgoing

MAX_REPLAY_BYTES = 32 * 1024 * 1024
"""17 minutes of 16 kHz linear16 mono, 87 s of 48 kHz float32 stereo: far more than a gateway lets wait."""

_KNOWN_TYPES: Final = frozenset(kind.__struct_config__.tag for kind in get_args(ServerEvent))
_IDLE_SHARE: Final = 0.8
"""Of the service's idle time-out: who was quiet for longer by its own count was idle."""
_ERROR_TYPE: Final = ErrorEvent.__struct_config__.tag


class Phase(StrEnum):
    """Where a session stands."""

    OPENING = "opening"
    OPEN = "open"
    AWAY = "away"
    """The socket is lost, and the session is not: another socket is looked for."""
    RESUMING = "resuming"
    """Another socket is there, and the service tells what was missed."""
    ENDING = "ending"
    ENDED = "ended"
    FAILED = "failed"


class _Envelope(msgspec.Struct):
    """The part of an event that every version of the protocol has."""

    type: str
    seq: int | None = None


class ClientSession:
    """Sans-I/O client of protocol v1. Not thread-safe; no method blocks or waits."""

    def __init__(self, start: SessionStart, *, resumes: bool = True, max_replay_bytes: int = MAX_REPLAY_BYTES) -> None:
        self._start = start
        self._resumes = resumes
        self._max_replay_bytes = max_replay_bytes
        self._held = HeldEvents()
        self.is_connected = True
        """There is a socket that has the session, or is to have it."""
        self._has_ended = False
        self._unanswered_resumes = 0
        self._refusal: HarkenError | None = None
        self._outgoing: Outgoing | None = None
        self.started: SessionStarted | None = None
        """What was announced at the start, or at the last resume."""
        self.grant: ResumeGrant | None = None
        """None: the session ends with its socket."""
        self.failure: HarkenError | None = None
        """Why the session failed; set exactly when the phase is FAILED."""
        self.lost: HarkenError | None = None
        """Why the socket was lost; set while AWAY or RESUMING."""
        self.is_resuming = False
        """From `resume_frame` until its answer."""
        self.has_moved = False
        """The service has taken up the last `resume_frame`: no other socket has the session any more."""
        self.draining_within_s: float | None = None
        """Set once the gateway announced that it goes away, until the session has moved."""
        self.committed_offset = 0
        """Audio before this is transcribed and stored, or held no speech."""

    @property
    def phase(self) -> Phase:
        """Where the session stands. While it moves from a socket that is still there it stays OPEN, or ENDING."""
        if self.failure is not None:
            return Phase.FAILED
        if self._has_ended:
            return Phase.ENDED
        if self.started is None:
            return Phase.OPENING
        if not self.is_connected:
            return Phase.RESUMING if self.is_resuming else Phase.AWAY
        return Phase.ENDING if self._outgoing is not None and self._outgoing.is_ending else Phase.OPEN

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will come: ENDED or FAILED."""
        return self.failure is not None or self._has_ended

    @property
    def should_move(self) -> bool:
        """Tell whether another socket should be looked for although this one is still there."""
        return self.draining_within_s is not None and self.grant is not None and not self.is_over

    @property
    def missed_events(self) -> int:
        """Gaps seen in `seq`, in events."""
        return self._held.missed_events

    @property
    def results(self) -> int:
        """How far the session has come, in finals and answers."""
        return self._held.results

    def sending(self) -> Outgoing:
        """Give what takes audio and commands.

        Raises the failure of the session, or SessionOver before the start and once nothing more may be sent.
        """
        if self.failure is not None:
            raise self.failure
        if self._outgoing is None:
            raise SessionOver("the session is not open yet")
        if self._outgoing.is_ending or self._has_ended:
            raise SessionOver("nothing can be sent after the end of the session")
        return self._outgoing

    @property
    def running_answer(self) -> int | None:
        """The number of the answer that has begun and has no end yet."""
        return self._held.running_answer

    def start_frame(self) -> str:
        """Give the first text frame."""
        return encode_message(self._start)

    def end(self) -> None:
        """Let the session end behind all that was put. Idempotent. Raises the failure of the session."""
        if self.failure is not None:
            raise self.failure
        if self._outgoing is not None:
            self._outgoing.end()

    def next_frame(self) -> bytes | str | None:
        """Give what is to be sent next; None if there is nothing, or no socket to send it on."""
        return self._outgoing.next_frame() if self._outgoing is not None and self.can_send else None

    @property
    def has_unsent(self) -> bool:
        """Tell whether anything waits for a socket."""
        return self._outgoing is not None and self._outgoing.has_unsent

    @property
    def is_catching_up(self) -> bool:
        """Tell whether a new socket has yet to carry what had gathered."""
        return self._outgoing is not None and self._outgoing.replay.is_catching_up

    @property
    def can_send(self) -> bool:
        """Tell whether there is a socket to send on, as far as is known."""
        return self.is_connected and not self.is_resuming and not self.is_over

    def on_text(self, text: str, *, quiet_s: float = inf) -> ServerEvent | None:
        """Take one text frame of the service; gives its event, or None if there is nothing to hand on.

        `quiet_s`: how long nothing was sent, while this machine was awake.

        None: a type unknown here, anything after the end, an event seen before (`seq` not above the last), that the
        gateway goes away (if the session can move), or a frame that breaks the protocol (then `failure` is set). A
        fatal `error` sets `failure` and is given too, unless it only means another socket.
        """
        if self.is_over:
            return None
        try:
            envelope = msgspec.json.decode(text, type=_Envelope)
            # Who refuses to take a session up does not know how far its numbers are.
            is_refusal = self.is_resuming and envelope.type == _ERROR_TYPE
            if not (is_refusal or self._held.is_news(envelope.seq)) or envelope.type not in _KNOWN_TYPES:
                return None
            event = decode_event(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._break(str(error))
            return None
        return self._apply(event, quiet_s)

    def on_close(self, code: int | None, reason: str, *, quiet_s: float = inf) -> None:
        """Take the end of the socket that has the session. `code` None: no close frame came.

        Before `session.ended` it is a failure, or means another socket.
        """
        if not self.is_over and self.is_connected:
            self._lose(from_close(code, reason), quiet_s)

    def resume_frame(self) -> str:
        """Give the first text frame of another socket. Only where there is a `grant`, and the session is not over."""
        assert self.started is not None and self.grant is not None
        self.is_resuming = True
        self.has_moved = False
        resume = self._held.resume(session=self.started.session, token=self.grant.token, offset=self.committed_offset)
        return encode_message(resume)

    def on_resume_failed(self, error: HarkenError) -> None:
        """Take the end of a try to resume, before or after `resume_frame`.

        Fails the session where no other try can help.
        """
        self._unanswered_resumes += self.is_resuming
        self.is_resuming = False
        self._refusal = error
        if not self.is_connected and self.lost is None:
            self.lost = error
        if isinstance(error, CannotResume | Unauthorized) and not self.is_over:
            self._fail(error)

    def give_up(self) -> None:
        """Fail the session that found no other socket in time."""
        if not self.is_over:
            why = f"; the last try: {self._refusal}" if self._refusal is not None else ""
            self._fail(ConnectionLost(f"{self.lost}. It could not be taken up again{why}"))

    def _apply(self, event: ServerEvent, quiet_s: float) -> ServerEvent | None:
        if not self._is_due(event):
            return None
        if self.is_resuming and not isinstance(event, ErrorEvent):
            # Whoever speaks here has the session.
            self.has_moved, self.is_connected = True, False
        self._held.on_event(event)
        match event:
            case SessionResumed():
                return event if self._resume(event) else None
            case SessionStarted():
                return event if self._open(event) else None
            case AudioCommitted():
                self._commit(event.offset)
            case SessionDraining():
                self.draining_within_s = event.within_s
                return event if self.grant is None else None
            case SessionEnded():
                self._has_ended = True
            case ErrorEvent():
                self._on_error(event, quiet_s)
                return None if event.fatal and self.failure is None else event
            case ChatTurnStored(id=name) if self._outgoing is not None:
                self._outgoing.on_turn_stored(name)
            case ChatStarted(id=name) if self._outgoing is not None:
                self._outgoing.on_answer_begun(name)
            case SpeechStarted() | SpeechEnded() | TranscriptPartial() | TranscriptFinal() | TranscriptFailed():
                pass
            case ChatTurnStored() | ChatStarted() | ChatDelta() | ChatDone() | ChatCancelled() | ChatFailed():
                pass
            case _:
                assert_never(event)
        return event

    def _is_due(self, event: ServerEvent) -> bool:
        match event:
            case SessionResumed():
                is_due = self.is_resuming
            case SessionStarted():
                is_due = self.started is None
            case ErrorEvent():
                is_due = True
            case _:
                is_due = self.started is not None
        if not is_due:
            self._break("session.started must come first, and once, and session.resumed only when it is asked for")
        return is_due

    def _open(self, started: SessionStarted) -> bool:
        if not self._announce(started):
            return False
        self._outgoing = Outgoing(
            self._start,
            max_frame_bytes=started.limits.max_frame_bytes,
            max_bytes=self._max_replay_bytes,
            start_offset=started.audio_offset,
            keeps_sent=self.grant is not None,
        )
        self._held.has_channels(started.channels)
        return True

    def _resume(self, resumed: SessionResumed) -> bool:
        outgoing = self._outgoing
        if outgoing is None or not self._announce(resumed):
            return False
        try:
            outgoing.resume(resumed.audio_offset, max_frame_bytes=resumed.limits.max_frame_bytes)
        except ValueError as error:
            self._break(str(error))
            return False
        self.is_connected, self.is_resuming = True, False
        self.lost = self.draining_within_s = self._refusal = None
        return True

    def _announce(self, started: SessionStarted) -> bool:
        if started.limits.max_frame_bytes < 1 or started.audio_offset < 0:
            self._break("max_frame_bytes must be positive, and audio_offset not negative")
            return False
        self.started = started
        # The offsets of a container count decoded samples: what was sent of it cannot be found by them.
        is_container = self._start.audio is not None and self._start.audio.encoding == "container"
        self.grant = started.resume if self._resumes and not is_container else None
        self.committed_offset = max(self.committed_offset, started.audio_offset)
        return True

    def _commit(self, offset: int) -> None:
        self.committed_offset = max(self.committed_offset, offset)
        if self._outgoing is not None and self.grant is not None:
            self._outgoing.replay.commit(offset)

    def _on_error(self, event: ErrorEvent, quiet_s: float) -> None:
        error = from_code(event.code, event.message, retryable=event.retryable)
        if event.fatal and self.is_resuming:
            self.is_resuming = False  # it has an answer
            self.on_resume_failed(error)
        elif event.fatal:
            self._lose(error, quiet_s, may_resume=event.retryable)
        elif error.fault == "client" and self._outgoing is not None:
            self._outgoing.replay.on_refused()

    def _lose(self, error: HarkenError, quiet_s: float, *, may_resume: bool = True) -> None:
        if isinstance(error, SessionTaken) and self._unanswered_resumes:
            # A gateway that seemed to be gone has woken up and taken up what we had asked of it.
            self._unanswered_resumes -= 1
        elif isinstance(error, IdleTimeout) and self._was_busy(quiet_s):
            pass  # what was sent did not get through, or this machine has slept
        elif error.fault == "client" or not may_resume:
            self._fail(error)
            return
        if self.grant is None:
            self._fail(error)
            return
        self.is_connected, self.lost = False, error

    def _was_busy(self, quiet_s: float) -> bool:
        return self.started is not None and quiet_s < _IDLE_SHARE * self.started.limits.idle_timeout_s

    def _break(self, detail: str) -> None:
        if self.started is None:
            self._fail(NotHarken(f"what answers does not speak Harken's protocol v1: {detail}"))
        elif self.is_resuming and not self.has_moved:
            self.on_resume_failed(NotHarken(f"what answers cannot resume: {detail}"))
        else:
            self._fail(InternalError(f"the service broke protocol v1: {detail}"))

    def _fail(self, error: HarkenError) -> None:
        self.failure = as_refusal(error) if self.started is None else error
