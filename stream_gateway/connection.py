"""The shell of one client socket: reads frames, performs the machine's effects, writes events. Decides nothing."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from bus.contract.chat_work import ChatReply
from bus.contract.client_protocol import AudioCommit, AudioEnd, SessionStart
from bus.contract.errors import (
    AudioBeforeStart,
    BusUnavailable,
    ClientTooSlow,
    HarkenError,
    InternalError,
    InvalidMessage,
    NoChat,
    NoWorker,
)
from bus.contract.records import SegmentFailed, SegmentRecord
from bus.contract.work import AsrResult
from stream_gateway.dialects.base import Action, Audio, AudioClear, Awake, Dialect, Later, Reply
from stream_gateway.intake import AudioIntake
from stream_gateway.services import Services, session_config
from stream_gateway.session import events
from stream_gateway.session.config import SessionConfig, check_start
from stream_gateway.session.effects import Cancel, Close, Decode, Dropped, Effect, Emit, Release, Store
from stream_gateway.session.outbox import Outbox
from stream_gateway.session.session import Phase, Session
from stream_gateway.session_chat import SessionChat
from stream_gateway.session_work import SessionWork

log = logging.getLogger(__name__)

_CLOSE_GRACE_S = 5.0
"""How long a client may take to read its last events before the socket is cut."""


class Connection:
    """One socket from upgrade to the last stored final. `run` owns every task it starts."""

    def __init__(self, socket: ServerConnection, *, services: Services, tenant: str, dialect: Dialect) -> None:
        self.session_id = f"s{secrets.token_hex(10)}"
        self.tenant = tenant
        self._socket = socket
        self._services = services
        self._dialect = dialect
        self._loop = asyncio.get_running_loop()
        limits = services.limits
        if dialect.starts_late:
            limits = replace(limits, start_timeout_s=limits.idle_timeout_s)
        if dialect.idle_timeout_s is not None:
            limits = replace(limits, idle_timeout_s=min(limits.idle_timeout_s, dialect.idle_timeout_s))
        self._machine = Session(limits=limits, now=self._loop.time())
        self._outbox = Outbox(max_events=services.max_outbox_events)
        self._work: SessionWork | None = None
        self._chat: SessionChat | None = None
        self._intake: AudioIntake | None = None
        self._tasks = asyncio.TaskGroup()
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = 0.0
        self._timer_at = 0.0
        self._something_to_write = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._closed = asyncio.Event()
        self._closing: Close | None = None
        self._client_gone = False
        self._workers_alive = True
        self._stored = 0

    async def run(self) -> None:
        """Serve the socket; returns once it is closed and everything said on it is stored."""
        try:
            async with self._tasks as tasks:
                reader = tasks.create_task(self._read(), name=f"read {self.session_id}")
                writer = tasks.create_task(self._write(), name=f"write {self.session_id}")
                self._rearm()
                await self._closed.wait()
                reader.cancel()
                if self._client_gone:
                    writer.cancel()
        finally:
            self._free()
            log.info(
                "session closed",
                extra={
                    "session": self.session_id,
                    "tenant": self.tenant,
                    "close_code": self._closing.code if self._closing else 1006,
                    "reason": self._closing.reason if self._closing else "client_gone",
                    "stored": self._stored,
                },
            )

    @property
    def pool(self) -> str | None:
        """The pool that serves this session, once it is open."""
        return self._work.pool if self._work is not None else None

    def on_result(self, result: AsrResult) -> None:
        """A worker answered. Called on the loop."""
        self._apply(self._machine.on_result(result, self._now()))

    def on_given_up(self, stream_seq: int, deliveries: int) -> None:
        """The broker will not deliver this message again: nobody answers it. Called on the loop."""
        result = self._work.given_up(stream_seq, deliveries) if self._work is not None else None
        if result is not None:
            self.on_result(result)

    def on_taken(self, upto_seq: int) -> None:
        """The broker has handed out all work of this session's pool up to this number. Called on the loop."""
        for decode in self._work.taken(upto_seq) if self._work is not None else ():
            self._apply(self._machine.on_taken(decode, self._now()))

    def on_reply(self, reply: ChatReply) -> None:
        """An LLM worker said something. Called on the loop."""
        if self._chat is not None:
            self._chat.on_reply(reply)

    def on_chat_given_up(self, stream_seq: int) -> None:
        """The broker will not deliver this request for an answer again. Called on the loop."""
        if self._chat is not None:
            self._chat.on_given_up(stream_seq)

    def on_bus(self, *, connected: bool) -> None:
        """The bus went or came back. Called on the loop."""
        if self._work is not None:
            self._work.on_bus_lost()
        if self._chat is not None:
            self._chat.on_bus_lost()
        self._apply(self._machine.on_bus(self._now(), connected=connected))

    def on_workers(self, *, alive: bool) -> None:
        """Whether the pool of this session has a worker; told often, and news only where it changes. On the loop."""
        if alive is not self._workers_alive:
            self._workers_alive = alive
            self._apply(self._machine.on_workers(self._now(), alive=alive))

    def on_drain(self, within_s: float) -> None:
        """The process goes away within `within_s`. Called on the loop."""
        self._apply(self._machine.on_drain(within_s, self._now()))

    async def _read(self) -> None:
        try:
            await self._act(self._dialect.on_open())
            async for frame in self._socket:
                await self._on_frame(frame)
                await self._has_room.wait()
        except ConnectionClosed:
            pass  # an unclean close ends the session like a clean one
        except HarkenError as error:
            self._apply(self._machine.on_fault(error, self._now(), fatal=True))
        except Exception as error:
            # The session dies with a clear event and this line; the process and its other sessions go on.
            log.exception("session failed", extra={"session": self.session_id, "error": type(error).__name__})
            self._apply(self._machine.on_fault(InternalError("internal error"), self._now(), fatal=True))
        if self._closing is None:
            self._client_gone = True
            self._something_to_write.set()
        self._apply(self._machine.on_gone(self._now()))

    async def _on_frame(self, frame: str | bytes) -> None:
        try:
            actions = self._dialect.on_text(frame) if isinstance(frame, str) else self._dialect.on_binary(frame)
        except HarkenError as error:
            self._apply(self._machine.on_fault(error, self._now(), fatal=False))
            return
        await self._act(actions)

    async def _act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Audio(data):
                    await self._on_audio(data)
                case Reply(text):
                    self._emit(events.Spelled(text))
                case Later(spell):
                    self._emit(events.Deferred(spell))
                case Awake():
                    self._machine.on_bytes(self._now())
                case SessionStart():
                    self._open(action)
                case AudioCommit():
                    self._commit()
                case AudioClear():
                    self._apply(self._machine.on_clear(self._now()))
                case AudioEnd():
                    await self._finish_audio()
                case _:  # of the chat
                    self._apply(self._machine.on_command(action, self._now()))

    def _open(self, start: SessionStart) -> None:
        if self._machine.phase is not Phase.HELLO:
            error = InvalidMessage("the session is already started; open another socket for another session")
            self._apply(self._machine.on_fault(error, self._now(), fatal=False))
            return
        try:
            config = self._resolve(start)
            if start.audio is not None:
                self._intake = AudioIntake(
                    start.audio,
                    vad=config.vad,
                    scorer=self._services.scorer,
                    metrics=self._services.metrics,
                    machine=self._machine,
                    apply=self._apply,
                    wait_for_room=self._has_room.wait,
                    now=self._now,
                )
                self._dialect.offset_rate_hz = self._intake.offset_rate_hz
        except HarkenError as error:
            self._apply(self._machine.on_fault(error, self._now(), fatal=True))
            return
        log.info(
            "session opened",
            extra={
                "session": self.session_id,
                "tenant": self.tenant,
                "encoding": start.audio.encoding if start.audio else None,
                "sample_rate_hz": start.audio.sample_rate if start.audio else None,
                "channels": config.channels,
                "model": config.model,
                "chat": config.chat is not None,
            },
        )
        self._apply(self._machine.on_start(config, self._now()))

    def _resolve(self, start: SessionStart) -> SessionConfig:
        check_start(start)
        if not self._services.bus.is_connected:
            raise BusUnavailable("the gateway has no connection to the bus; try again later")
        ids = {"gateway": self._services.gateway, "tenant": self.tenant, "session": self.session_id}
        if start.chat is not None:
            with suppress(NoWorker):  # told by the machine: one may come up before it is needed
                self._services.llm.pool_for(start.chat.model, self._now())
            self._chat = SessionChat(
                self._services.bus,
                **ids,
                machine=self._machine,
                tasks=self._tasks,
                apply=self._apply,
                now=self._now,
                metrics=self._services.metrics,
            )
        route = None if start.audio is None else self._services.route(start.model)
        if route is not None:
            self._services.check_pool(route.pool)
            self._work = SessionWork(self._services.bus, **ids, pool=route.pool, start=start)
        return session_config(start, services=self._services, session=self.session_id, tenant=self.tenant, route=route)

    async def _on_audio(self, frame: bytes) -> None:
        if self._machine.phase is Phase.HELLO:
            error = AudioBeforeStart("the first frame must be the text message session.start")
            self._apply(self._machine.on_fault(error, self._now(), fatal=True))
        elif self._intake is None:
            no_audio = NoChat("this session has no audio: session.start says `audio: null`")
            self._apply(self._machine.on_fault(no_audio, self._now(), fatal=False))
        elif frame and self._machine.accepts_audio:
            await self._intake.feed(frame)

    def _commit(self) -> None:
        if self._machine.phase is Phase.HELLO:
            error = InvalidMessage("the first message must be session.start")
            self._apply(self._machine.on_fault(error, self._now(), fatal=True))
        self._apply(self._machine.on_commit(self._now()))

    async def _finish_audio(self) -> None:
        error = await self._intake.finish() if self._intake is not None and self._machine.accepts_audio else None
        self._apply(self._machine.on_audio_end(self._now(), error))

    async def _write(self) -> None:
        """Send what the outbox holds, in order, and close once the machine has said so."""
        try:
            while True:
                while (event := self._outbox.take()) is not None:
                    for text in self._spelled(event):
                        await self._socket.send(text)
                if self._closing is not None:
                    await self._socket.close(*self._dialect.close(self._closing.code, self._closing.reason))
                    return
                self._something_to_write.clear()
                await self._something_to_write.wait()
        except ConnectionClosed:
            self._client_gone = True

    def _spelled(self, event: events.SessionEvent) -> Sequence[str]:
        match event:
            case events.Spelled(text):
                return (text,)
            case events.Deferred(spell):
                return spell()
            case _:
                return self._dialect.render(event)

    def _apply(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Emit(event):
                    self._emit(event)
                case Decode():
                    assert self._intake is not None
                    pcm = self._intake.slice_bytes(effect.channel, effect.start_sample, effect.end_sample)
                    self._tasks.create_task(self._publish(effect, pcm))
                    self._services.metrics.hedges.inc(effect.hedge)
                case Cancel():
                    self._tasks.create_task(self._cancel(effect))
                case Store(record):
                    self._tasks.create_task(self._store(record))
                case Release(channel, before_sample):
                    if self._intake is not None:
                        self._intake.release(channel, before_sample)
                case Dropped(what, reason):
                    self._services.metrics.dropped.labels(what, reason).inc()
                case Close():
                    self._close(effect)
                case _:  # of the chat
                    assert self._chat is not None
                    self._chat.perform(effect)
        if self._machine.is_full:
            self._has_room.clear()
        else:
            self._has_room.set()
        self._rearm()

    def _emit(self, event: events.SessionEvent) -> None:
        match event:
            case events.Final():
                self._services.metrics.on_final(event)
            case events.Partial():
                self._services.metrics.on_partial(event)
            case events.ChatDone() | events.ChatCancelled() | events.ChatFailed():
                self._services.metrics.on_answer(event)
        if self._client_gone or self._closing is not None:
            return
        fits = self._outbox.offer(event)
        self._services.metrics.outbox_events.observe(len(self._outbox))
        self._something_to_write.set()
        if not fits and self._closing is None:
            error = ClientTooSlow(f"{len(self._outbox)} events wait to be read; the session is closed")
            self._apply(self._machine.on_fault(error, self._now(), fatal=True))

    def _close(self, effect: Close) -> None:
        self._closing = effect
        self._something_to_write.set()
        self._loop.call_later(_CLOSE_GRACE_S, self._socket.transport.abort)

    async def _publish(self, decode: Decode, pcm: bytes) -> None:
        assert self._work is not None
        succeeded = await self._work.publish(decode, pcm)
        self._apply(self._machine.on_published(decode, self._now(), succeeded=succeeded))

    async def _cancel(self, cancel: Cancel) -> None:
        assert self._work is not None
        self._services.metrics.cancels.labels(cancel.reason).inc()
        await self._work.cancel(cancel)

    async def _store(self, record: SegmentRecord) -> None:
        assert self._work is not None
        succeeded = await self._work.store(record)
        if succeeded:
            self._stored += 1
            self._services.metrics.segments.labels("failed" if isinstance(record, SegmentFailed) else "final").inc()
        self._apply(self._machine.on_stored(record, self._now(), succeeded=succeeded))

    def _rearm(self) -> None:
        """A timer that is set for too early a time stays: a deadline moves on with every chunk of audio."""
        # By the time that the machine was told last: what becomes due between that and now would be due unnoticed.
        deadline = self._machine.deadline(self._told_at)
        if deadline is None:
            self._closed.set()
            return
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(deadline, self._on_time), deadline

    def _on_time(self) -> None:
        self._timer = None
        self._told_at = max(self._now(), self._timer_at)  # a timer may fire a little too early
        self._apply(self._machine.on_time(self._told_at))

    def _free(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._intake is not None:
            self._intake.close()

    def _now(self) -> float:
        """The time, to tell the machine."""
        self._told_at = self._loop.time()
        return self._told_at
