"""One socket without a network, a broker and a clock: the shell of a session, played step by step.

A step is a JSON array, and what is no step is passed over, so that any bytes are an input. Whatever the steps are, the
promises hold that `_apply`, `_emit` and `end` assert, and those of the judge that reads for the client.
"""

import base64
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from bus.contract import chat_work, work
from bus.contract.chat_work import decode_chat_reply
from bus.contract.client_protocol import AudioCommit, AudioEnd, ResumeGrant, SessionResume, SessionStart
from bus.contract.errors import AudioBeforeStart, CannotResume, ClientTooSlow, HarkenError, InvalidMessage, NoChat
from bus.contract.presence import WorkerPresence
from bus.contract.records import SegmentRecord
from bus.contract.work import SAMPLE_RATE_HZ, decode_result
from bus.control.roster import Roster, Route
from stream_gateway.audio.formats import check_audio
from stream_gateway.dialects.base import Action, Audio, AudioClear, AudioConfigure, Awake, Dialect, Later, Reply
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES
from stream_gateway.services import reconfigured, session_config
from stream_gateway.session import events
from stream_gateway.session.config import SessionConfig, SessionLimits, check_start
from stream_gateway.session.effects import Ask, Close, Decode, Effect, Emit, Release, Store, StoreTurn
from stream_gateway.session.outbox import Outbox
from stream_gateway.session.session import Phase, Session
from tests.fuzz.judges import Judge
from tests.fuzz.services import services_around
from tests.unit.stream_gateway.session.builders import FRAME_S, QUIET, SPEECH, a_failure, a_result

MAX_OUTBOX_EVENTS = 40
_LIMITS = SessionLimits(max_session_s=600.0, max_buffered_audio_s=20.0, ending_timeout_s=720.0, max_client_errors=8)
_MAX_STEPS_TO_THE_END = 4_000
_PRESENCE = WorkerPresence(worker="w1", pool="std", model="m", slots=2, state="ready", free_slots=1)


class Conversation:
    """`audio` spells seconds of the client's audio as it sends it; `judge` reads what it is sent."""

    def __init__(self, dialect: Dialect, *, judge: Judge, audio: Callable[[float], str | bytes]) -> None:
        self._dialect = dialect
        self._judge = judge
        self._audio = audio
        self._now = 100.0
        self._machine = Session(limits=_LIMITS, now=self._now)
        self._outbox = Outbox(max_events=MAX_OUTBOX_EVENTS)
        self._roster = Roster(kind="LLM")
        self._services = services_around(self._roster)
        self._llm_alive = True
        self._deltas: dict[tuple[int, int], int] = {}
        self._speaks = False
        self._channels = 0
        self._config: SessionConfig | None = None
        self._received_sample = 0
        self._released = [0, 0]
        self._windows: deque[Decode] = deque()
        self._stores: deque[SegmentRecord] = deque()
        self._records: dict[int, SegmentRecord] = {}
        self._asks: deque[Ask] = deque()
        self._turns: deque[StoreTurn] = deque()
        self._shown: set[int] = set()
        self._committed = 0
        self._close: Close | None = None
        self._is_gone = False

    def open(self) -> None:
        """The upgrade. Raises a ClientError where it is refused."""
        self._act(self._dialect.on_open())

    def take(self, line: bytes) -> None:
        """Play one step, if that is what it is."""
        try:
            step = msgspec.json.decode(line)
        except (ValueError, RecursionError):
            return
        self._beat()
        match step:
            case ["text", str(text)]:
                self._frame(text)
            case ["bytes", str(data)]:
                self._frame(data.encode("utf-8"))
            case ["hear", int(frames), bool(speaks)]:
                self._speaks = speaks
                self._frame(self._audio(max(0, min(frames, 100)) * FRAME_S))
            case ["read", int(count)]:
                self._read(max(0, min(count, 200)))
            case ["time", int() | float() as seconds]:
                self._pass_time(max(0.0, min(float(seconds), 900.0)))
            case ["drain"]:
                self._apply(self._machine.on_drain(20.0, self._now))
            case ["gone"]:
                self._apply(self._machine.on_gone(self._now))
            case ["lost"]:
                self._outbox = Outbox(max_events=MAX_OUTBOX_EVENTS)
                self._is_gone = True
                self._apply(self._machine.on_lost(60.0, self._now))
            case ["taken over"]:
                self._apply(self._machine.on_taken_over(self._now))
            case _:
                self._bus_step(step)

    def end(self) -> None:
        """The client leaves, and what was said is settled: a session always comes to its end."""
        self._read(10_000)
        self._apply(self._machine.on_bus(self._now, connected=True))
        self._apply(self._machine.on_workers(self._now, alive=True))
        self._apply(self._machine.on_gone(self._now))
        for _ in range(_MAX_STEPS_TO_THE_END):
            if self._machine.phase is Phase.CLOSED:
                break
            if not (self._windows or self._stores or self._turns or self._asks):
                self._pass_time(1.0)
            self._answer("word", succeeded=True)
            self._published(succeeded=True)
            self._stored(succeeded=True)
        assert self._machine.phase is Phase.CLOSED, "the session does not end"
        assert self._machine.deadline(self._now) is None
        self._read(10_000)

    def _bus_step(self, step: Any) -> None:
        match step:
            case ["answer", str() | None as text]:
                self._answer(text, succeeded=True)
            case ["publish", bool(succeeded)]:
                self._published(succeeded=succeeded)
            case ["store", bool(succeeded)]:
                self._stored(succeeded=succeeded)
            case ["bus", bool(connected)]:
                self._apply(self._machine.on_bus(self._now, connected=connected))
            case ["workers", bool(alive)]:
                self._apply(self._machine.on_workers(self._now, alive=alive))
            case ["llm", bool(alive)]:
                self._llm_alive = alive
            case ["reply", str(kind), int(number), str(text)]:
                self._reply(kind, number, text)
            case ["garbage", str(data)]:
                self._garbage(data)
            case _:
                pass

    # --- the client's side

    def _frame(self, frame: str | bytes) -> None:
        if self._close is not None or self._is_gone:
            return
        try:
            actions = self._dialect.on_text(frame) if isinstance(frame, str) else self._dialect.on_binary(frame)
        except HarkenError as error:
            self._apply(self._machine.on_fault(error, self._now, fatal=False))
            return
        self._act(actions)

    def _act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Audio(data):
                    self._hear(data)
                case Reply(text):
                    self._emit(events.Spelled(text))
                case Later(spell):
                    self._emit(events.Deferred(spell))
                case Awake():
                    self._machine.on_bytes(self._now)
                case SessionStart():
                    self._start(action)
                case AudioCommit():
                    if self._machine.phase is Phase.HELLO:
                        error = InvalidMessage("the first message must be session.start")
                        self._apply(self._machine.on_fault(error, self._now, fatal=True))
                    self._apply(self._machine.on_commit(self._now))
                case AudioClear():
                    self._apply(self._machine.on_clear(self._now))
                case AudioConfigure(start):
                    self._configure(start)
                case AudioEnd():
                    self._apply(self._machine.on_audio_end(self._now))
                case SessionResume():
                    self._apply(self._machine.on_fault(CannotResume("nothing to resume"), self._now, fatal=True))
                case _:
                    self._apply(self._machine.on_command(action, self._now))

    def _start(self, start: SessionStart) -> None:
        if self._machine.phase is not Phase.HELLO:
            self._apply(self._machine.on_fault(InvalidMessage("started already"), self._now, fatal=False))
            return
        try:
            check_start(start)
            if start.audio is not None:
                check_audio(start.audio)
        except HarkenError as error:
            self._apply(self._machine.on_fault(error, self._now, fatal=True))
            return
        if start.audio is not None and start.audio.encoding != "container":
            self._dialect.offset_rate_hz = start.audio.sample_rate
        route = Route("std", "base") if start.audio is not None else None
        config = session_config(start, services=self._services, session="s1", tenant="acme", route=route)
        if self._dialect.can_resume:
            config = replace(config, resume=ResumeGrant(token="opaque", within_s=600.0))
        self._channels, self._config = config.channels, config
        self._apply(self._machine.on_start(config, self._now))

    def _configure(self, start: SessionStart) -> None:
        if self._config is None or not self._channels or not self._machine.accepts_audio:
            return
        self._config = reconfigured(self._config, start, self._services)
        self._apply(self._machine.on_audio_configure(self._config, self._now))
        for channel in range(self._channels):
            again = (self._received_sample - self._machine.scored_sample(channel)) // FRAME_SAMPLES
            scores = [SPEECH if self._speaks else QUIET] * again
            self._apply(self._machine.on_scores(channel, scores, self._now))

    def _hear(self, data: bytes) -> None:
        """Each two bytes are one sample, however the client spells them: what is in them was decided by the step."""
        if self._machine.phase is Phase.HELLO:
            error = AudioBeforeStart("the first frame must be the text message session.start")
            self._apply(self._machine.on_fault(error, self._now, fatal=True))
        elif not self._channels:
            self._apply(self._machine.on_fault(NoChat("this session has no audio"), self._now, fatal=False))
        elif self._machine.accepts_audio and not self._machine.is_full:
            frames = min(len(data) // (2 * FRAME_SAMPLES), 100)
            self._now += frames * FRAME_S
            self._received_sample += frames * FRAME_SAMPLES
            self._machine.on_bytes(self._now)
            self._machine.on_audio(self._received_sample, self._now)
            scores = [SPEECH if self._speaks else QUIET] * frames
            for channel in range(self._channels):
                self._apply(self._machine.on_scores(channel, scores, self._now))

    def _read(self, count: int) -> None:
        for _ in range(count):
            event = self._outbox.take()
            if event is None:
                return
            for text in self._spelled(event):
                self._judge.see(text)

    def _spelled(self, event: events.SessionEvent) -> Sequence[str]:
        match event:
            case events.Spelled(text):
                return (text,)
            case events.Deferred(spell):
                return spell()
            case events.Missed(missed):
                return [text for one in missed for text in self._dialect.render(one)]
            case _:
                return self._dialect.render(event)

    # --- the bus's side

    def _answer(self, text: str | None, *, succeeded: bool) -> None:
        if not self._windows:
            return
        decode = self._windows[0]
        if succeeded:
            self._windows.popleft()
        result = a_failure(decode) if text is None else a_result(decode, text)
        self._apply(self._machine.on_published(decode, self._now, succeeded=True))
        self._apply(self._machine.on_taken(decode, self._now))
        self._apply(self._machine.on_result(result, self._now))

    def _published(self, *, succeeded: bool) -> None:
        if self._windows:
            self._apply(self._machine.on_published(self._windows[-1], self._now, succeeded=succeeded))
        if self._asks:
            ask = self._asks[-1]
            self._chat(lambda chat: chat.on_asked(ask.answer, ask.attempt, self._now, succeeded=succeeded))

    def _stored(self, *, succeeded: bool) -> None:
        if self._stores:
            record = self._stores.popleft()
            if succeeded:
                assert self._records.setdefault(record.segment, record) == record, "a repeated store changes it"
            self._apply(self._machine.on_stored(record, self._now, succeeded=succeeded))
        if self._turns:
            turn = self._turns.popleft().turn
            self._chat(lambda chat: chat.on_turn_stored(turn, self._now, succeeded=succeeded))

    def _reply(self, kind: str, number: int, text: str) -> None:
        """What an LLM worker says of the newest request; number 0 is the one that is next."""
        if not self._asks:
            return
        attempt = (self._asks[-1].answer, self._asks[-1].attempt)
        of: dict[str, Any] = {"session": "s1", "answer": attempt[0], "attempt": attempt[1]}
        self._deltas[attempt] = self._deltas.get(attempt, 0) + (kind == "delta" and not number)
        number = number or self._deltas[attempt]
        usage = chat_work.ChatUsage(prompt_tokens=number, completion_tokens=2)
        times = chat_work.ChatTimings(queue_s=0, prefill_s=0, emit_s=0, generate_s=0)
        replies: dict[str, Callable[[], chat_work.ChatReply]] = {
            "taken": lambda: chat_work.ChatTaken(worker="w1", model="m", **of),
            "delta": lambda: chat_work.ChatDelta(seq=number, text=text, tokens=1, **of),
            "failed": lambda: chat_work.ChatFailed(
                code=text, message="it broke", retryable=number % 2 == 0, worker="w1", **of
            ),
            "done": lambda: chat_work.ChatDone(
                deltas=number, finish_reason="stop", usage=usage, timings=times, model="m", worker="w1", **of
            ),
        }
        if kind in replies:
            reply = replies[kind]()
            self._chat(lambda chat: chat.on_reply(reply, self._now))

    def _garbage(self, data: str) -> None:
        """What anybody may have put into the inboxes; what is no message is dropped there."""
        try:
            raw = base64.b64decode(data)
            if self._windows:  # made to be of the window that is waited for
                head = self._windows[0]
                fields = msgspec.msgpack.decode(raw)
                raw = msgspec.msgpack.encode(
                    fields | {"segment": head.segment, "window": head.window, "kind": head.kind}
                )
            self._apply(self._machine.on_result(decode_result(raw), self._now))
        except (ValueError, TypeError, OverflowError, RecursionError):
            pass
        try:
            reply = decode_chat_reply(base64.b64decode(data))
        except ValueError:
            return
        self._chat(lambda chat: chat.on_reply(reply, self._now))

    def _chat(self, take: Any) -> None:
        self._apply(self._machine.on_chat(take, self._now, progress=True))

    # --- the shell

    def _pass_time(self, seconds: float) -> None:
        until = self._now + seconds
        while (deadline := self._machine.deadline(self._now)) is not None and deadline <= until:
            self._now = max(self._now, deadline)
            self._beat()
            self._apply(self._machine.on_time(self._now))
            after = self._machine.deadline(self._now)
            assert after is None or after > self._now, "a timer that does not move on is a busy loop"
        self._now = until

    def _beat(self) -> None:
        if self._llm_alive:
            self._roster.on_presence(_PRESENCE, self._now)

    def _apply(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Emit(event):
                    assert self._close is None, "something is told after the close"
                    self._emit(event)
                case Decode():
                    self._check(effect)
                    self._windows.append(effect)
                case Store(record):
                    self._stores.append(record)
                case Release(channel, before_sample):
                    assert before_sample > self._released[channel], "audio is released twice"
                    self._released[channel] = before_sample
                case Ask():
                    self._asks.append(effect)
                case StoreTurn():
                    self._turns.append(effect)
                case Close():
                    assert self._close is None, "two closes"
                    self._close = effect
                    code, reason = self._dialect.close(effect.code, effect.reason)
                    assert 1000 <= code < 5000 and len(reason.encode()) <= 123, "no close frame can hold this"
                case _:
                    pass

    def _check(self, decode: Decode) -> None:
        assert self._released[decode.channel] <= decode.start_sample < decode.end_sample <= self._received_sample
        assert decode.end_sample - decode.start_sample <= work.MAX_WINDOW_S * SAMPLE_RATE_HZ
        assert 0 <= decode.prior_samples < decode.end_sample - decode.start_sample

    def _emit(self, event: events.SessionEvent) -> None:
        match event:
            case events.Final(segment=segment) | events.Failed(segment=segment):
                assert segment not in self._shown, "two finals of one segment"
                assert segment in self._records, "shown before it is stored"
                self._shown.add(segment)
            case events.Committed(sample):
                assert self._committed < sample <= self._received_sample, "a commit goes back, or beyond the audio"
                self._committed = sample
        if self._close is not None or self._is_gone:
            return
        fits = self._outbox.offer(event)
        assert len(self._outbox) <= MAX_OUTBOX_EVENTS + 2, "the outbox grows"
        if not fits:
            self._apply(self._machine.on_fault(ClientTooSlow("too many events wait"), self._now, fatal=True))
