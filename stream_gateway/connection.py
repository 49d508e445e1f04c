"""The shell of one client socket: reads frames and hands what they ask for to the session. Decides nothing."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from bus.contract.client_protocol import AudioCommit, AudioEnd, SessionResume, SessionStart
from bus.contract.errors import AudioBeforeStart, HarkenError, InternalError, InvalidMessage, NoChat
from bus.contract.session_record import Takeover
from stream_gateway.dialects.base import Action, Audio, AudioClear, AudioConfigure, Awake, Dialect, Later, Reply
from stream_gateway.event_writer import EventWriter
from stream_gateway.live_session import LiveSession
from stream_gateway.opening import Opener, Opening
from stream_gateway.reading import actions_of
from stream_gateway.services import Services
from stream_gateway.session import events
from stream_gateway.session.config import SessionLimits
from stream_gateway.session.session import Phase
from stream_gateway.session_ids import session_id_of

log = logging.getLogger(__name__)


class Connection:
    """One socket from upgrade to the last stored final. `run` owns every task it starts."""

    def __init__(
        self,
        socket: ServerConnection,
        *,
        services: Services,
        tenant: str,
        dialect: Dialect,
        claim: Callable[[LiveSession, Takeover], None],
    ) -> None:
        """`claim` is called when a session that was another connection's, here or elsewhere, goes on on this one."""
        self._socket = socket
        self._services = services
        self._dialect = dialect
        self._tasks = asyncio.TaskGroup()
        self._writer = EventWriter(socket, dialect=dialect, max_events=services.max_outbox_events)
        self.live = LiveSession(
            session_id=session_id_of(socket.id),
            limits=_limits(services, dialect),
            services=services,
            tenant=tenant,
            writer=self._writer,
            tasks=self._tasks,
        )
        self._machine = self.live.machine
        self._opener = Opener(services, tenant=tenant, now=self.live.now, on_taken=self.live.on_taken_over)
        self._claim = partial(claim, self.live)

    async def run(self) -> None:
        """Serve the socket; returns once it is closed and everything said on it is stored."""
        live = self.live
        try:
            async with self._tasks as tasks:
                reader = tasks.create_task(self._read(), name=f"read {live.session_id}")
                writer = tasks.create_task(self._writer.run(), name=f"write {live.session_id}")
                live.apply(())
                await live.closed.wait()
                reader.cancel()
                if self._writer.is_gone:
                    writer.cancel()
        finally:
            live.free()
            closing = self._writer.closing
            log.info(
                "session closed",
                extra={
                    "session": live.session_id,
                    "tenant": live.tenant,
                    "close_code": closing.code if closing else 1006,
                    "reason": closing.reason if closing else "client_gone",
                    "stored": live.stored,
                },
            )

    async def _read(self) -> None:
        is_lost = False
        try:
            await self._act(self._dialect.on_open())
            async for frame in self._socket:
                await self._on_frame(frame)
                await self.live.has_room.wait()
        except ConnectionClosed as error:
            is_lost = error.rcvd is None  # else the client closed it
        except HarkenError as error:
            self._fail(error)
        except Exception as error:
            # The session dies with a clear event and this line; the process and its other sessions go on.
            log.exception("session failed", extra={"session": self.live.session_id, "error": type(error).__name__})
            self._fail(InternalError("internal error"))
        if self._writer.closing is None:
            self._writer.give_up()
        self.live.on_socket_closed(is_lost=is_lost)

    async def _on_frame(self, frame: str | bytes) -> None:
        try:
            actions = await actions_of(self._dialect, frame)
        except HarkenError as error:
            self._fail(error, fatal=False)
            return
        await self._act(actions)

    async def _act(self, actions: Sequence[Action]) -> None:
        live, machine = self.live, self._machine
        for action in actions:
            match action:
                case Audio(data):
                    await self._on_audio(data)
                case Reply(text):
                    live.emit(events.Spelled(text))
                case Later(spell):
                    live.emit(events.Deferred(spell))
                case Awake():
                    machine.on_bytes(live.now())
                case SessionStart() | SessionResume():
                    await self._open(action)
                case AudioCommit():
                    self._commit()
                case AudioClear():
                    live.apply(machine.on_clear(live.now()))
                case AudioConfigure(start):
                    await live.configure_audio(start)
                case AudioEnd():
                    await self._finish_audio()
                case _:  # of the chat
                    live.apply(machine.on_command(action, live.now()))

    async def _open(self, message: SessionStart | SessionResume) -> None:
        if self._machine.phase is not Phase.HELLO:
            self._fail(
                InvalidMessage("the session is already started; open another socket for another session"), fatal=False
            )
            return
        outcome = "resumed"
        try:
            self._begin(await self._prepare(message))
        except HarkenError as error:
            outcome = error.code
            self._fail(error)
        if isinstance(message, SessionResume):
            self._services.metrics.resumes.labels(outcome).inc()

    async def _prepare(self, message: SessionStart | SessionResume) -> Opening:
        if isinstance(message, SessionResume):
            return await self._opener.resume(message, claim=self._claim)
        can_resume = self._dialect.can_resume and self._services.resume_grace_s > 0
        return await self._opener.start(
            message,
            session=self.live.session_id,
            can_resume=can_resume,
            may_never_speak=self._dialect.may_never_speak,
        )

    def _begin(self, opening: Opening) -> None:
        live, config, audio = self.live, opening.config, opening.start.audio
        live.begin(opening)
        if live.intake is not None:
            self._dialect.offset_rate_hz = live.intake.offset_rate_hz
        log.info(
            "session opened",
            extra={
                "session": live.session_id,
                "tenant": live.tenant,
                "epoch": live.epoch,
                "encoding": audio.encoding if audio else None,
                "sample_rate_hz": audio.sample_rate if audio else None,
                "channels": config.channels,
                "model": config.model,
                "chat": config.chat is not None,
            },
        )
        if opening.resumption is not None:
            live.apply(self._machine.on_resume(config, opening.resumption, live.now()))
        else:
            live.apply(self._machine.on_start(config, live.now()))

    async def _on_audio(self, frame: bytes) -> None:
        intake = self.live.intake
        if self._machine.phase is Phase.HELLO:
            self._fail(AudioBeforeStart("the first frame must be the text message session.start"))
        elif intake is None:
            reason = "session.start says `audio: null`"
            if self._dialect.may_never_speak:
                reason = "when it began, no worker could transcribe; open another one to be heard"
            self._fail(NoChat(f"this session has no audio: {reason}"), fatal=False)
        elif frame and self._machine.accepts_audio:
            await intake.feed(frame)

    def _commit(self) -> None:
        if self._machine.phase is Phase.HELLO:
            self._fail(InvalidMessage("the first message must be session.start"))
        self.live.apply(self._machine.on_commit(self.live.now()))

    async def _finish_audio(self) -> None:
        intake = self.live.intake
        error = await intake.finish() if intake is not None and self._machine.accepts_audio else None
        self.live.apply(self._machine.on_audio_end(self.live.now(), error))

    def _fail(self, error: HarkenError, *, fatal: bool = True) -> None:
        self.live.apply(self._machine.on_fault(error, self.live.now(), fatal=fatal))


def _limits(services: Services, dialect: Dialect) -> SessionLimits:
    limits = services.limits
    if dialect.starts_late:
        limits = replace(limits, start_timeout_s=limits.idle_timeout_s)
    if dialect.idle_timeout_s is not None:
        limits = replace(limits, idle_timeout_s=min(limits.idle_timeout_s, dialect.idle_timeout_s))
    return limits
