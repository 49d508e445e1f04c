"""One client session, whatever dialect its socket speaks and whatever bus its work travels on.

Theory of operation. The shell feeds inputs (`on_*`) and performs the effects that each returns, in order. All `now` are
wall time, monotonic, in seconds; sample positions are audio time. `deadline` says when to call `on_time` next.

    HELLO --start--> OPEN --end of audio, time-out, drain, client gone--> ENDING --all finals stored--> CLOSED
      `------------------------- fatal fault, from any phase --------------------------------------------^

In ENDING no audio is taken, and finals are still owed for what was said: also to a client that is gone, for its
transcript is read by others. What a phase does not expect is ignored: late answers are normal in a distributed system.
The chat, if there is one, is a machine of its own that listens to what this one tells the client of speech.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum, auto
from itertools import count
from typing import assert_never

from bus.contract.client_protocol import ChatCancel
from bus.contract.errors import (
    BusUnavailable,
    ClientError,
    Draining,
    HarkenError,
    InvalidMessage,
    NoChat,
    NoWorker,
    StartTimeout,
)
from bus.contract.records import SegmentRecord
from bus.contract.work import SAMPLE_RATE_HZ, AsrResult
from stream_gateway.chat.commands import ChatInput
from stream_gateway.chat.turns import Chat
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.commits import Commits
from stream_gateway.session.config import SessionConfig, SessionLimits
from stream_gateway.session.effects import Close, Decode, Dropped, Effect, Emit
from stream_gateway.session.events import CommitDone, DrainNotice, Ended, Fault, Started
from stream_gateway.session.finals import Finals
from stream_gateway.session.languages import SpokenLanguage
from stream_gateway.session.partials import Partials
from stream_gateway.session.time_limits import overdue, time_is_up
from stream_gateway.session.track import Track, open_tracks
from stream_gateway.session.utterance import Utterance

_CLOSE_NORMAL = 1000


class Phase(Enum):
    """See the theory of operation."""

    HELLO = auto()
    OPEN = auto()
    ENDING = auto()
    CLOSED = auto()


class Session:
    """The machine. Not thread-safe; never blocks, awaits or reads a clock."""

    def __init__(self, *, limits: SessionLimits, now: float) -> None:
        self.phase = Phase.HELLO
        self._limits = limits
        self._opened_at = now
        self._active_at = now
        self._ending_at = 0.0
        self._ending_error: HarkenError | None = None
        self._drain_at: float | None = None
        self._client_errors = 0
        self._bus_connected = True
        self._workers_alive = True
        self._clock = AudioClock()
        self._windows = count(1)
        self._segments = 0
        self._tracks: tuple[Track, ...] = ()
        self._commits = Commits(self._clock)
        self._chat: Chat | None = None
        self._client_told = False
        self._finals: Finals
        self._partials: Partials | None = None

    @property
    def accepts_audio(self) -> bool:
        """Whether audio is welcome now."""
        return self.phase is Phase.OPEN

    @property
    def is_full(self) -> bool:
        """Too much is not stored, audio or turns of the chat: do not read the socket for now."""
        if self._chat is not None and self._chat.is_full:
            return True
        held = self._clock.received_sample - self._commits.committed_sample
        return held > self._limits.max_buffered_audio_s * SAMPLE_RATE_HZ

    def on_start(self, config: SessionConfig, now: float) -> list[Effect]:
        """The client's wishes are checked and routed: open."""
        if self.phase is not Phase.HELLO:
            return []
        self.phase = Phase.OPEN
        self._opened_at = self._active_at = now
        language = SpokenLanguage(config.language)
        self._finals = Finals(config=config, windows=self._windows, clock=self._clock, language=language)
        if config.partials and config.channels:
            self._partials = Partials(
                session=config.session,
                windows=self._windows,
                clock=self._clock,
                language=language,
                task=config.task,
                lag=config.pool.lag,
            )
        self._tracks = open_tracks(config, finals=self._finals, next_segment=self._next_segment)
        return self._settle(self._started(config, now), now)

    def _started(self, config: SessionConfig, now: float) -> list[Effect]:
        started = Started(config.session, config.model, config.channels)
        if config.chat is None or config.llm is None:
            return [Emit(started)]
        self._chat = Chat(config.chat, workers=config.llm)
        started = replace(started, chat_model=self._chat.model(now))
        if started.chat_model is not None:
            return [Emit(started)]
        notice = NoWorker("no LLM worker is alive; what is said is transcribed, and answered when one returns")
        return [Emit(started), Emit(Fault(notice, fatal=False))]

    def on_bytes(self, now: float) -> None:
        """The client sent audio that may decode to nothing yet: it is not idle."""
        self._active_at = now

    def on_audio(self, end_sample: int, now: float) -> None:
        """Audio up to `end_sample` of every channel was received."""
        if self.phase is not Phase.OPEN:
            return
        self._active_at = now
        self._clock.on_audio(end_sample, now)

    def on_scores(self, channel: int, scores: Sequence[float], now: float) -> list[Effect]:
        """Speech probabilities of the next frames of `channel`."""
        if self.phase is not Phase.OPEN:
            return []
        return self._settle(self._tracks[channel].on_scores(scores, now), now)

    def on_commit(self, now: float) -> list[Effect]:
        """The client ends the open utterance of each channel here, if there is one."""
        if self.phase is not Phase.OPEN:
            return []
        effects: list[Effect] = []
        for track in self._tracks:
            effects += track.commit(self._clock.received_sample, now)
        self._commits.on_commit(self._segments)
        return self._settle([*effects, Emit(CommitDone(bool(effects)))], now)

    def on_clear(self, now: float) -> list[Effect]:
        """The client takes back the audio since its last turn ended: nothing follows of an open utterance."""
        if self.phase is not Phase.OPEN:
            return []
        effects: list[Effect] = []
        for track in self._tracks:
            effects += track.clear(self._clock.received_sample, now)
        return self._settle(effects, now)

    def on_command(self, command: ChatInput, now: float) -> list[Effect]:
        """The client wants something of the chat. While the session ends it may only stop the last answer."""
        if self.phase is Phase.HELLO:
            return self.on_fault(InvalidMessage("the first message must be session.start"), now, fatal=True)
        if self.phase is Phase.ENDING and not isinstance(command, ChatCancel):
            return []
        return self.on_chat(lambda chat: chat.on_command(command, now), now, progress=self.phase is Phase.OPEN)

    def on_chat(self, take: Callable[[Chat], list[Effect]], now: float, *, progress: bool = True) -> list[Effect]:
        """Something happened to the chat: `take` is one of its inputs. `progress`: what is owed has time anew."""
        if self.phase not in (Phase.OPEN, Phase.ENDING):
            return []
        if self._chat is None:
            return self.on_fault(NoChat("this session has no chat: name `chat` in session.start"), now, fatal=False)
        try:
            effects = take(self._chat)
        except ClientError as error:
            return self.on_fault(error, now, fatal=False)
        if progress:
            self._active_at = self._ending_at = now
        return self._settle(effects, now)

    def on_audio_end(self, now: float, error: HarkenError | None = None) -> list[Effect]:
        """No audio follows; if because of `error`, the session ends with it once its finals are out."""
        if self.phase is Phase.HELLO:
            return self.on_fault(error, now, fatal=True) if error else self._close(Ended("audio_end", 0.0, 0))
        return self._finish(error, now)

    def on_gone(self, now: float) -> list[Effect]:
        """The socket is closed: what was said is still transcribed and stored."""
        if self.phase is Phase.HELLO:
            self.phase = Phase.CLOSED
        return self._finish(None, now, self._hang_up())

    def on_result(self, result: AsrResult, now: float) -> list[Effect]:
        """A worker answered; may be late, doubled or for another life of this session."""
        if self.phase not in (Phase.OPEN, Phase.ENDING):
            return []
        effects: list[Effect] = []
        if result.kind == "final":
            effects = self._finals.on_result(result, now)
        elif self._partials:
            effects = self._partials.on_result(result, self._utterances(), now)
        for track in self._tracks:
            track.on_heard()
        return self._settle(effects, now)

    def on_published(self, decode: Decode, now: float, *, succeeded: bool) -> list[Effect]:
        """A `Decode` was accepted by the broker, or was not."""
        if self.phase not in (Phase.OPEN, Phase.ENDING):
            return []
        effects: list[Effect] = []
        if decode.hedge:  # nothing is owed to it: what is due of the first attempt stays due
            effects = [] if succeeded else [Dropped("hedge", "unpublished")]
        elif decode.kind == "final" and succeeded:
            self._finals.on_published(decode.segment, decode.window, now)
        elif decode.kind == "final":
            effects = self._finals.on_publish_failed(decode.segment, decode.window, now)
        elif self._partials and not succeeded:
            effects = self._partials.on_publish_failed(decode.window, now)
        return self._settle(effects, now)

    def on_taken(self, decode: Decode, now: float) -> list[Effect]:
        """A worker has the window of a `Decode`. May be told late, or more than once."""
        if self.phase not in (Phase.OPEN, Phase.ENDING):
            return []
        if decode.kind == "final" and not decode.hedge:
            self._finals.on_taken(decode.segment, decode.window, now)
        return self._settle([], now)

    def on_stored(self, record: SegmentRecord, now: float, *, succeeded: bool) -> list[Effect]:
        """A `Store` was acknowledged, or was not."""
        if self.phase not in (Phase.OPEN, Phase.ENDING):
            return []
        if not succeeded:
            self._finals.on_store_failed(record.segment, now)
            return self._settle([], now)
        self._commits.on_stored()
        self._ending_at = now  # in ENDING: progress was made, the rest gets its time anew
        return self._settle(self._finals.on_stored(record.segment, now), now)

    def on_bus(self, now: float, *, connected: bool) -> list[Effect]:
        """The connection to the bus was lost, or is back with its assets ensured."""
        lost = self._bus_connected and not connected
        self._bus_connected = connected
        if self.phase not in (Phase.OPEN, Phase.ENDING):
            return []
        if connected:
            self._finals.on_bus_back(now)
        notice = BusUnavailable("the bus is away; audio is kept and transcription goes on when it returns")
        effects: list[Effect] = [Emit(Fault(notice, fatal=False))] if lost else []
        if self._chat:
            effects += self._chat.on_bus(now, connected=connected)
        return self._settle(effects, now)

    def on_workers(self, now: float, *, alive: bool) -> list[Effect]:
        """The last worker of this session's pool went, or one is back."""
        lost = self._workers_alive and not alive
        self._workers_alive = alive
        if self.phase not in (Phase.OPEN, Phase.ENDING):
            return []
        notice = NoWorker("no worker is alive; audio is kept and transcription goes on when one returns")
        return self._settle([Emit(Fault(notice, fatal=False))] if lost else [], now)

    def on_drain(self, within_s: float, now: float) -> list[Effect]:
        """The gateway goes away: tell the client, and end by force when `within_s` has passed."""
        if self.phase is Phase.HELLO:
            return self.on_fault(Draining("this gateway is going away; connect again"), now, fatal=True)
        if self.phase is not Phase.OPEN or self._drain_at is not None:
            return []
        self._drain_at = now + within_s
        return [Emit(DrainNotice(within_s))]

    def on_fault(self, error: HarkenError, now: float, *, fatal: bool) -> list[Effect]:
        """Something is wrong. Before the start, and after too many client errors, everything is fatal.

        A fatal fault closes the socket at once; what was said before it is still transcribed and stored.
        """
        if self.phase is Phase.CLOSED or self._client_told:
            return []
        self._client_errors += error.fault == "client"
        if fatal or self.phase is Phase.HELLO or self._client_errors > self._limits.max_client_errors:
            return self._dismiss(error, now)
        return [Emit(Fault(error, fatal=False))]

    def on_time(self, now: float) -> list[Effect]:
        """Do what is due by `now`."""
        match self.phase:
            case Phase.CLOSED:
                return []
            case Phase.HELLO:
                if now < self._opened_at + self._limits.start_timeout_s:
                    return []
                message = f"session.start did not come within {self._limits.start_timeout_s:g} s"
                return self.on_fault(StartTimeout(message), now, fatal=True)
            case Phase.ENDING:
                if now < self._ending_at + self._limits.ending_timeout_s:
                    return self._settle([], now)
                self.phase = Phase.CLOSED
                given_up: list[Effect] = [Dropped("final", "overdue") for _ in range(len(self._finals))]
                return given_up + self._farewell(overdue(bus_connected=self._bus_connected))
            case Phase.OPEN:
                if self.is_full or len(self._finals) or (self._chat and self._chat.is_answering):
                    self._active_at = now  # we owe the client, or do not read it: that is not its idleness
                active_at, drain_at = self._active_at, self._drain_at
                error = time_is_up(self._limits, now, self._opened_at, active_at=active_at, drain_at=drain_at)
                return self._finish(error, now, self._hang_up()) if error else self._settle([], now)
            case _:
                assert_never(self.phase)

    def deadline(self, now: float) -> float | None:
        """When to call `on_time`, or None once closed."""
        match self.phase:
            case Phase.CLOSED:
                return None
            case Phase.HELLO:
                return self._opened_at + self._limits.start_timeout_s
            case Phase.ENDING:
                times = [
                    self._ending_at + self._limits.ending_timeout_s,
                    self._finals.deadline(),
                    self._chat.deadline() if self._chat else None,
                ]
            case Phase.OPEN:
                times = [
                    self._active_at + self._limits.idle_timeout_s,
                    self._opened_at + self._limits.max_session_s,
                    self._drain_at,
                    self._finals.deadline(),
                    self._chat.deadline() if self._chat else None,
                    self._partials.deadline(self._utterances(), now) if self._partials else None,
                ]
            case _:
                assert_never(self.phase)
        return min(time for time in times if time is not None)

    def _finish(self, error: HarkenError | None, now: float, before: Sequence[Effect] = ()) -> list[Effect]:
        if self.phase is Phase.ENDING and before:
            return self._settle([*before], now)
        if self.phase is not Phase.OPEN:
            return []
        self.phase = Phase.ENDING
        self._ending_at = now
        self._ending_error = error
        effects: list[Effect] = [*before]
        for track in self._tracks:
            effects += track.flush(self._clock.received_sample, now)
        return self._settle(effects, now)

    def _settle(self, effects: list[Effect], now: float) -> list[Effect]:
        """What follows from any change; called once at the end of every input. Nothing is told after a `Close`."""
        effects += self._finals.settle(now, workers_alive=self._workers_alive)
        if self.phase is Phase.OPEN and self._partials:
            scored_sample = min(track.scored_sample for track in self._tracks)
            effects += self._partials.settle(self._utterances(), scored_sample, now)
        if self._chat:
            effects += self._chat.hear(effects)
            effects += self._chat.settle(now)
        done = self.phase is Phase.ENDING and not len(self._finals) and (self._chat is None or self._chat.is_idle)
        effects += self._commits.settle(self._tracks, self._finals.first_segment_owed, done=done)
        if done:
            audio_s = self._clock.received_sample / SAMPLE_RATE_HZ
            reason = self._ending_error.code if self._ending_error else "audio_end"
            effects += self._close(Ended(reason, audio_s, self._segments))
        return [effect for effect in effects if not isinstance(effect, Emit)] if self._client_told else effects

    def _dismiss(self, error: HarkenError, now: float) -> list[Effect]:
        effects = self._farewell(error)
        if self.phase is Phase.HELLO:
            self.phase = Phase.CLOSED
        return effects + self._finish(None, now, self._hang_up())

    def _hang_up(self) -> list[Effect]:
        """Nobody waits for answers any more."""
        return self._chat.on_gone() if self._chat else []

    def _farewell(self, error: HarkenError) -> list[Effect]:
        if self._client_told:
            return []
        self._client_told = True
        return [Emit(Fault(error, fatal=True)), Close(error.close_code, error.code)]

    def _close(self, ended: Ended) -> list[Effect]:
        self.phase = Phase.CLOSED
        if self._client_told:
            return []
        if self._ending_error is None:
            return [Emit(ended), Close(_CLOSE_NORMAL, ended.reason)]
        error = self._ending_error
        return [Emit(Fault(error, fatal=True)), Emit(ended), Close(error.close_code, error.code)]

    def _utterances(self) -> list[Utterance]:
        return [track.utterance for track in self._tracks if track.utterance is not None]

    def _next_segment(self) -> int:
        self._segments += 1
        return self._segments
