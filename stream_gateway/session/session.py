"""One client session, whatever dialect its socket speaks and whatever bus its work travels on.

Theory of operation. The shell feeds inputs (`on_*`) and performs the effects that each returns, in order. All `now` are
wall time, monotonic, in seconds; sample positions are audio time. `deadline` says when to call `on_time` next.

    HELLO --start, resume--> OPEN --end of audio, time-out, drain, client gone--> ENDING --all finals stored--> CLOSED
      `----------------- fatal fault, from any phase; taken over by another gateway, at once ------------------^

In ENDING no audio is taken, and finals are still owed for what was said: also to a client that is gone, for its
transcript is read by others. A client whose socket broke may come back: until it does, or its grace is over, nothing
ends for that. What a phase does not expect is ignored: late answers are normal in a distributed system.
The speech is a machine of its own; so is the chat, if there is one, which listens to what the client is told of speech.
"""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import assert_never

from bus.contract.client_protocol import ChatCancel, ResumeGrant
from bus.contract.errors import (
    ClientError,
    Draining,
    HarkenError,
    InvalidMessage,
    NoChat,
    NoWorker,
    SessionTaken,
    StartTimeout,
)
from bus.contract.records import SegmentRecord
from bus.contract.work import AsrResult
from stream_gateway.chat.commands import ChatInput
from stream_gateway.chat.resumption import ChatResumption
from stream_gateway.chat.turns import Chat
from stream_gateway.session.config import SessionConfig, SessionLimits
from stream_gateway.session.effects import Close, Decode, Dropped, Effect, Emit
from stream_gateway.session.events import DrainNotice, Ended, Fault, Missed, Resumed, Started
from stream_gateway.session.outset import BEGINNING, Outset
from stream_gateway.session.resumption import Resumption
from stream_gateway.session.speech import Speech
from stream_gateway.session.surroundings import Surroundings
from stream_gateway.session.time_limits import overdue, time_is_up

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
        self._around = Surroundings()
        self._speech: Speech
        self._chat: Chat | None = None
        self._client_told = False
        self._gone_at: float | None = None
        """When a client that is away is given up."""

    @property
    def accepts_audio(self) -> bool:
        """Whether audio is welcome now."""
        return self.phase is Phase.OPEN

    @property
    def awaits_client(self) -> bool:
        """Whether the client is away and may come back."""
        return self._is_alive and self._gone_at is not None

    @property
    def is_full(self) -> bool:
        """Too much is not stored, audio or turns of the chat: do not read the socket for now."""
        if not self._is_alive:
            return False
        is_chat_full = self._chat is not None and self._chat.is_full
        return is_chat_full or self._speech.held_s > self._limits.max_buffered_audio_s

    def on_start(self, config: SessionConfig, now: float) -> list[Effect]:
        """The client's wishes are checked and routed: open."""
        if self.phase is not Phase.HELLO:
            return []
        notices = self._open(config, BEGINNING, None, now)
        return self._settle([Emit(Started(*self._terms(config, now))), *notices], now)

    def on_resume(self, config: SessionConfig, resumption: Resumption, now: float) -> list[Effect]:
        """The session was another gateway's, or had another socket here: go on as `resumption` has it."""
        if self.phase is not Phase.HELLO:
            return []
        notices = self._open(config, resumption.outset, resumption.chat, now)
        assert config.resume is not None, "what is resumed can be resumed"
        # It lasts no longer for having been taken over.
        self._opened_at = now + config.resume.within_s - self._limits.max_session_s
        resumed = Resumed(*self._terms(config, now), resumption.audio_offset)
        return self._settle([Emit(Missed(resumption.missed)), Emit(resumed), *notices], now)

    def _open(self, config: SessionConfig, outset: Outset, chat: ChatResumption | None, now: float) -> list[Effect]:
        self.phase = Phase.OPEN
        self._opened_at = self._active_at = now
        self._speech = Speech(config, outset=outset, now=now)
        if config.chat is None or config.llm is None:
            return []
        can_resume = config.resume is not None
        self._chat = Chat(config.chat, workers=config.llm, resumed=chat, is_resumable=can_resume)
        if self._chat_model(now) is not None:
            return []
        notice = NoWorker("no LLM worker is alive; what is said is transcribed, and answered when one returns")
        return [Emit(Fault(notice, fatal=False))]

    def _terms(self, config: SessionConfig, now: float) -> tuple[str, str, int, str | None, ResumeGrant | None]:
        return config.session, config.model, config.channels, self._chat_model(now), config.resume

    def _chat_model(self, now: float) -> str | None:
        return self._chat.model(now) if self._chat else None

    def on_bytes(self, now: float) -> None:
        """The client sent audio that may decode to nothing yet: it is not idle."""
        self._active_at = now

    def on_audio(self, end_sample: int, now: float) -> None:
        """Audio up to `end_sample` of every channel was received."""
        if self.phase is not Phase.OPEN:
            return
        self._active_at = now
        self._speech.on_audio(end_sample, now)

    def on_scores(self, channel: int, scores: Sequence[float], now: float) -> list[Effect]:
        """Speech probabilities of the next frames of `channel`."""
        if self.phase is not Phase.OPEN:
            return []
        return self._settle(self._speech.on_scores(channel, scores, now), now)

    def on_commit(self, now: float) -> list[Effect]:
        """The client ends the open utterance of each channel here, if there is one."""
        if self.phase is not Phase.OPEN:
            return []
        return self._settle(self._speech.commit(now), now)

    def on_clear(self, now: float) -> list[Effect]:
        """The client takes back the audio since its last turn ended: nothing follows of an open utterance."""
        if self.phase is not Phase.OPEN:
            return []
        return self._settle(self._speech.clear(now), now)

    def on_audio_configure(self, config: SessionConfig, now: float) -> list[Effect]:
        """From here on audio is heard as `config` has it; scores go on from `scored_sample`, perhaps some once more."""
        if self.phase is not Phase.OPEN:
            return []
        return self._settle(self._speech.configure(config), now)

    def scored_sample(self, channel: int) -> int:
        """Where the next score of `channel` begins, once the session is open."""
        return self._speech.scored_sample(channel)

    def on_command(self, command: ChatInput, now: float) -> list[Effect]:
        """The client wants something of the chat. While the session ends it may only stop the last answer."""
        if self.phase is Phase.HELLO:
            return self.on_fault(InvalidMessage("the first message must be session.start"), now, fatal=True)
        if self.phase is Phase.ENDING and not isinstance(command, ChatCancel):
            return []
        return self.on_chat(lambda chat: chat.on_command(command, now), now, progress=self.phase is Phase.OPEN)

    def on_chat(self, take: Callable[[Chat], list[Effect]], now: float, *, progress: bool = True) -> list[Effect]:
        """Something happened to the chat: `take` is one of its inputs. `progress`: what is owed has time anew."""
        if not self._is_alive:
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
        self._gone_at = None
        if self.phase is Phase.HELLO:
            self.phase = Phase.CLOSED
        return self._finish(None, now, self._hang_up())

    def on_lost(self, grace_s: float, now: float) -> list[Effect]:
        """The socket broke, and its client may come back: nothing ends for that before `grace_s`."""
        if not self._is_alive or self._client_told or self._drain_at is not None:
            return self.on_gone(now)
        self._gone_at = now + grace_s
        self._speech.stop_partials()
        return self._settle([], now)

    def on_taken_over(self, now: float) -> list[Effect]:
        """Another socket has the session: nothing of it is decoded, stored or told here any more."""
        if self.phase is Phase.CLOSED:
            return []
        self.phase = Phase.CLOSED
        return self._farewell(SessionTaken("the session goes on on another socket"))

    def on_result(self, result: AsrResult, now: float) -> list[Effect]:
        """A worker answered; may be late, doubled or for another life of this session."""
        if not self._is_alive:
            return []
        return self._settle(self._speech.on_result(result, now), now)

    def on_published(self, decode: Decode, now: float, *, succeeded: bool) -> list[Effect]:
        """A `Decode` was accepted by the broker, or was not."""
        if not self._is_alive:
            return []
        return self._settle(self._speech.on_published(decode, now, succeeded=succeeded), now)

    def on_taken(self, decode: Decode, now: float, *, is_done: bool = False) -> list[Effect]:
        """A worker has the window of a `Decode`, or is done with it. May be told late, or more than once."""
        if not self._is_alive:
            return []
        return self._settle(self._speech.on_taken(decode, now, is_done=is_done), now)

    def on_noticed(self, segment: int, window: int, now: float, *, held: bool = True) -> list[Effect]:
        """A worker says that it has this window of a final, sooner than `on_taken` tells; or is gone, and has not."""
        if not self._is_alive:
            return []
        self._speech.on_noticed(segment, window, now, held=held)
        return self._settle([], now)

    def on_stored(self, record: SegmentRecord, now: float, *, succeeded: bool) -> list[Effect]:
        """A `Store` was acknowledged, or was not."""
        if not self._is_alive:
            return []
        if succeeded:
            self._ending_at = now  # in ENDING: progress was made, the rest gets its time anew
        return self._settle(self._speech.on_stored(record, now, succeeded=succeeded), now)

    def on_bus(self, now: float, *, connected: bool) -> list[Effect]:
        """The connection to the bus was lost, or is back with its assets ensured."""
        effects = self._around.on_bus(connected=connected)
        if not self._is_alive:
            return []
        if connected:
            effects += self._speech.on_bus_back(now)
        if self._chat:
            effects += self._chat.on_bus(now, connected=connected)
        return self._settle(effects, now)

    def on_workers(self, now: float, *, alive: bool) -> list[Effect]:
        """The last worker of this session's pool went, or one is back."""
        effects = self._around.on_workers(alive=alive)
        return self._settle(effects, now) if self._is_alive else []

    def on_worker_gone(self, now: float) -> list[Effect]:
        """A worker died, others may live. What it had of finals the broker gives to them."""
        if not self._is_alive:
            return []
        self._speech.on_worker_gone(now)
        return self._settle([], now)

    def on_drain(self, within_s: float, now: float) -> list[Effect]:
        """The gateway goes away: tell the client, and end by force after `within_s`; at once if the client is away."""
        if self.phase is Phase.HELLO:
            return self.on_fault(Draining("this gateway is going away; connect again"), now, fatal=True)
        if self._gone_at is not None:  # it comes back elsewhere
            return self.on_gone(now)
        if self.phase is not Phase.OPEN or self._drain_at is not None:
            return []
        self._drain_at = now + within_s
        return [Emit(DrainNotice(within_s))]

    def on_fault(self, error: HarkenError, now: float, *, fatal: bool) -> list[Effect]:
        """Something is wrong; before the start, and after too many client errors, everything is fatal.

        Then the socket is closed at once; what was said before it is still transcribed and stored.
        """
        if self.phase is Phase.CLOSED or self._client_told:
            return []
        self._client_errors += error.fault == "client"
        if fatal or self.phase is Phase.HELLO or self._client_errors > self._limits.max_client_errors:
            return self._dismiss(error, now)
        return [Emit(Fault(error, fatal=False))]

    def on_time(self, now: float) -> list[Effect]:
        """Do what is due by `now`."""
        if self._gone_at is not None and now >= self._gone_at:
            return self.on_gone(now)
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
                given_up: list[Effect] = [Dropped("final", "overdue") for _ in range(self._speech.finals_owed)]
                return given_up + self._farewell(overdue(bus_connected=self._around.bus_connected))
            case Phase.OPEN:
                if self.is_full or self._speech.finals_owed or (self._chat and self._chat.is_answering):
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
                times = [self._ending_at + self._limits.ending_timeout_s]
            case Phase.OPEN:
                times = [self._active_at + self._limits.idle_timeout_s, self._opened_at + self._limits.max_session_s]
            case _:
                assert_never(self.phase)
        may_come = (
            self._drain_at if self.phase is Phase.OPEN else None,
            self._gone_at,
            self._speech.deadline(now, partials=self.phase is Phase.OPEN),
            self._chat.deadline() if self._chat else None,
        )
        return min((*times, *(time for time in may_come if time is not None)))

    def _finish(self, error: HarkenError | None, now: float, before: Sequence[Effect] = ()) -> list[Effect]:
        if self.phase is Phase.ENDING and before:
            return self._settle([*before], now)
        if self.phase is not Phase.OPEN:
            return []
        self.phase = Phase.ENDING
        self._ending_at = now
        self._ending_error = error
        return self._settle([*before, *self._speech.flush(now)], now)

    def _settle(self, effects: list[Effect], now: float) -> list[Effect]:
        """What follows from any change; called once at the end of every input. Nothing is told after a `Close`."""
        alive, is_open = self._around.workers_alive, self.phase is Phase.OPEN
        awaited = self._chat is not None and self._chat.answers_speech
        effects += self._speech.settle(now, workers_alive=alive, partials=is_open, awaited=awaited)
        if self._chat:
            effects += self._chat.hear(effects)
            effects += self._chat.settle(now)
        is_idle = not self._speech.finals_owed and (self._chat is None or self._chat.is_idle)
        done = self.phase is Phase.ENDING and is_idle
        effects += self._speech.settle_audio(done=done)
        if done:
            reason = self._ending_error.code if self._ending_error else "audio_end"
            effects += self._close(Ended(reason, self._speech.received_s, self._speech.segments))
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

    @property
    def _is_alive(self) -> bool:
        return self.phase in (Phase.OPEN, Phase.ENDING)
