"""One session and all that serves it in this process, with or without a socket: performs effects, decides nothing."""

import asyncio
import logging
from collections.abc import Sequence

from bus.contract.chat_work import ChatReply
from bus.contract.client_protocol import SessionStart
from bus.contract.errors import ClientTooSlow
from bus.contract.records import SegmentFailed, SegmentRecord
from bus.contract.work import AsrResult, AsrTaken
from stream_gateway.audio.formats import check_audio
from stream_gateway.event_writer import EventWriter
from stream_gateway.intake import AudioIntake
from stream_gateway.opening import Opening
from stream_gateway.services import Services, reconfigured
from stream_gateway.session import events
from stream_gateway.session.config import SessionConfig, SessionLimits
from stream_gateway.session.effects import Cancel, Close, Decode, Dropped, Effect, Emit, Release, Store
from stream_gateway.session.outset import BEGINNING
from stream_gateway.session.session import Phase, Session
from stream_gateway.session_chat import SessionChat
from stream_gateway.session_ledger import SessionLedger
from stream_gateway.session_work import SessionWork

log = logging.getLogger(__name__)


class LiveSession:
    """Owned by its connection, in whose task group it works. Everything is called on the loop."""

    def __init__(
        self,
        *,
        session_id: str,
        limits: SessionLimits,
        services: Services,
        tenant: str,
        writer: EventWriter,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.session_id = session_id
        """Its own, until it takes up a session that has one."""
        self.tenant = tenant
        self.epoch = 0
        """How often the session was taken over, up to here."""
        self.detached_at: float | None = None
        """Since when the client is away that may come back."""
        self.intake: AudioIntake | None = None
        self.has_room = asyncio.Event()
        """Set while audio may be read."""
        self.has_room.set()
        self.closed = asyncio.Event()
        """Set once nothing is owed any more."""
        self.stored = 0
        """Segments."""
        self._loop = asyncio.get_running_loop()
        self.machine = Session(limits=limits, now=self._loop.time())
        self._services = services
        self._writer = writer
        self._tasks = tasks
        self._work: SessionWork | None = None
        self._chat: SessionChat | None = None
        self._ledger: SessionLedger | None = None
        self._config: SessionConfig | None = None
        self._is_resumable = False
        self._workers_alive = True
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._told_at = 0.0

    @property
    def pool(self) -> str | None:
        """The pool that serves this session, once it is open."""
        return self._work.pool if self._work is not None else None

    def begin(self, opening: Opening) -> None:
        """The session is open, unless it was closed while that was prepared."""
        if self.machine.phase is not Phase.HELLO:
            return
        start, config, services = opening.start, opening.config, self._services
        self._config = config
        ids = {"gateway": services.gateway, "tenant": self.tenant, "session": self.session_id}
        self._ledger = opening.ledger
        self._is_resumable = config.resume is not None
        if opening.pool is not None:
            self._work = SessionWork(services.bus, **ids, pool=opening.pool, start=start)
        if config.chat is not None:
            self._chat = SessionChat(
                services.bus,
                **ids,
                ledger=opening.ledger,
                machine=self.machine,
                tasks=self._tasks,
                apply=self.apply,
                now=self.now,
                metrics=services.metrics,
            )
        if start.audio is not None:
            self.intake = AudioIntake(
                start.audio,
                vad=config.vad,
                outset=opening.resumption.outset if opening.resumption is not None else BEGINNING,
                scorer=services.scorer,
                metrics=services.metrics,
                machine=self.machine,
                apply=self.apply,
                wait_for_room=self.has_room.wait,
                now=self.now,
            )

    async def configure_audio(self, start: SessionStart) -> None:
        """From here on audio is heard as `start` has it. Raises a ClientError, and then nothing has changed."""
        if self._config is None or self._work is None or self.intake is None or not self.machine.accepts_audio:
            return
        assert start.audio is not None
        check_audio(start.audio)
        self._config = config = reconfigured(self._config, start, self._services)
        self._work.configure(start)
        # At once, before anything is heard: what the dialect tells next is by the new rules.
        self.apply(self.machine.on_audio_configure(config, self.now()))
        await self.intake.change_detection(vad=config.vad)
        await self.intake.change_format(start.audio)

    def on_result(self, result: AsrResult) -> None:
        """A worker answered."""
        self.apply(self.machine.on_result(result, self.now()))

    def on_given_up(self, stream_seq: int, deliveries: int) -> None:
        """The broker will not deliver this message again: nobody answers it."""
        result = self._work.given_up(stream_seq, deliveries) if self._work is not None else None
        if result is not None:
            self.on_result(result)

    def on_taken(self, upto_seq: int) -> None:
        """The broker has handed out all work of this session's pool up to this number."""
        for decode in self._work.taken(upto_seq) if self._work is not None else ():
            self.apply(self.machine.on_taken(decode, self.now()))

    def on_done(self, upto_seq: int) -> None:
        """Workers have told the broker, a while ago, that they are done with all of this pool's up to this number."""
        for decode in self._work.done(upto_seq) if self._work is not None else ():
            self.apply(self.machine.on_taken(decode, self.now(), is_done=True))

    def on_noticed(self, taken: AsrTaken, *, held: bool) -> None:
        """A worker says that it has a final, or is gone and has it no more."""
        self.apply(self.machine.on_noticed(taken.segment, taken.window, self.now(), held=held))

    def on_reply(self, reply: ChatReply) -> None:
        """An LLM worker said something."""
        if self._chat is not None:
            self._chat.on_reply(reply)

    def on_chat_given_up(self, stream_seq: int) -> None:
        """The broker will not deliver this request for an answer again."""
        if self._chat is not None:
            self._chat.on_given_up(stream_seq)

    def on_bus(self, *, connected: bool) -> None:
        """The bus went or came back."""
        if self._work is not None:
            self._work.on_bus_lost()
        if self._chat is not None:
            self._chat.on_bus_lost()
        self.apply(self.machine.on_bus(self.now(), connected=connected))

    def on_workers(self, *, alive: bool) -> None:
        """Whether the pool of this session has a worker; told often, and news only where it changes."""
        if alive is not self._workers_alive:
            self._workers_alive = alive
            self.apply(self.machine.on_workers(self.now(), alive=alive))

    def on_worker_gone(self) -> None:
        """A worker of this session's pool, or of another, died."""
        self.apply(self.machine.on_worker_gone(self.now()))

    def on_drain(self, within_s: float) -> None:
        """The process goes away within `within_s`."""
        self.detached_at = None
        self.apply(self.machine.on_drain(within_s, self.now()))

    def on_socket_closed(self, *, is_lost: bool) -> None:
        """Nobody reads and nobody sends. If the socket `is_lost`, without a word, the client may come back."""
        if is_lost and self._is_resumable:
            self.apply(self.machine.on_lost(self._services.resume_grace_s, self.now()))
        else:
            self.apply(self.machine.on_gone(self.now()))
        if self.machine.awaits_client:
            self.detached_at = self._told_at
            log.info("client lost", extra={"session": self.session_id, "tenant": self.tenant})

    def on_displaced(self) -> None:
        """The client is away, and others need the room: what was said is stored, and that is all."""
        self.detached_at = None
        self.apply(self.machine.on_gone(self.now()))

    def on_taken_over(self) -> None:
        """Another socket has the session: let go of it."""
        if self.detached_at is not None:
            self._services.metrics.detached_s.observe(self.now() - self.detached_at)
            self.detached_at = None
        if self._ledger is not None:
            self._ledger.let_go()
        self.apply(self.machine.on_taken_over(self.now()))

    def apply(self, effects: Sequence[Effect]) -> None:
        """Perform what the machine asks, in order."""
        for effect in effects:
            match effect:
                case Emit(event):
                    self.emit(event)
                case Decode():
                    assert self.intake is not None
                    pcm = self.intake.slice_bytes(effect.channel, effect.start_sample, effect.end_sample)
                    self._tasks.create_task(self._publish(effect, pcm))
                    self._services.metrics.hedges.inc(effect.hedge)
                case Cancel():
                    self._tasks.create_task(self._cancel(effect))
                case Store(record):
                    self._tasks.create_task(self._store(record))
                case Release(channel, before_sample):
                    if self.intake is not None:
                        self.intake.release(channel, before_sample)
                case Dropped(what, reason):
                    self._services.metrics.dropped.labels(what, reason).inc()
                case Close():
                    self._writer.close(effect)
                case _:  # of the chat
                    assert self._chat is not None
                    self._chat.perform(effect)
        if self.machine.is_full:
            self.has_room.clear()
        else:
            self.has_room.set()
        self._rearm()

    def emit(self, event: events.SessionEvent) -> None:
        """Have the client told, if there is one."""
        match event:
            case events.Final():
                self._services.metrics.on_final(event)
            case events.Partial():
                self._services.metrics.on_partial(event)
            case events.ChatDone() | events.ChatCancelled() | events.ChatFailed():
                self._services.metrics.on_answer(event)
        if not self._writer.is_open:
            return
        fits = self._writer.offer(event)
        self._services.metrics.outbox_events.observe(self._writer.waiting)
        if not fits:
            error = ClientTooSlow(f"{self._writer.waiting} events wait to be read; the session is closed")
            self.apply(self.machine.on_fault(error, self.now(), fatal=True))

    def free(self) -> None:
        """Nothing is called any more.

        Its parts hold this and are held by it. They are let go of, or the audio of sessions that have ended would lie
        about until the next collection of garbage, which may be minutes away.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.intake is not None:
            self.intake.close()
        self.intake = self._work = self._chat = self._ledger = None

    def now(self) -> float:
        """The time, to tell the machine."""
        self._told_at = self._loop.time()
        return self._told_at

    async def _publish(self, decode: Decode, pcm: bytes) -> None:
        assert self._work is not None
        published = await self._work.publish(decode, pcm)
        self.apply(self.machine.on_published(decode, self.now(), succeeded=published.succeeded))
        if published.given_up is not None:
            self.on_result(published.given_up)

    async def _cancel(self, cancel: Cancel) -> None:
        assert self._work is not None
        self._services.metrics.cancels.labels(cancel.reason).inc()
        await self._work.cancel(cancel)

    async def _store(self, record: SegmentRecord) -> None:
        assert self._ledger is not None and self._work is not None
        succeeded = await self._ledger.store(record)
        if succeeded:
            self.stored += 1
            self._work.on_stored(record.segment)
            self._services.metrics.segments.labels("failed" if isinstance(record, SegmentFailed) else "final").inc()
        self.apply(self.machine.on_stored(record, self.now(), succeeded=succeeded))

    def _rearm(self) -> None:
        """A timer that is set for too early a time stays: a deadline moves on with every chunk of audio."""
        # By the time that the machine was told last: what becomes due between that and now would be due unnoticed.
        deadline = self.machine.deadline(self._told_at)
        if deadline is None:
            self.closed.set()
            return
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(deadline, self._on_time), deadline

    def _on_time(self) -> None:
        self._timer = None
        self._told_at = max(self.now(), self._timer_at)  # a timer may fire a little too early
        self.apply(self.machine.on_time(self._told_at))
