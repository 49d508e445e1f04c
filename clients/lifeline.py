"""Keeps a session on a socket: carries frames both ways, and finds another socket where one is lost or left."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

from websockets.exceptions import ConnectionClosed

from bus.contract.client_protocol import ServerEvent
from bus.contract.errors import HarkenError
from clients.connecting import leave_socket, open_socket
from clients.connection_changes import ConnectionChange, Reconnected, Reconnecting
from clients.failures import CannotConnect, from_close
from clients.pulse import Pulse
from clients.reconnect import ReconnectPolicy
from clients.session import ClientSession
from clients.silence import ListeningConnection

TRY_WITHIN_S = 5.0
"""For each of: to open a socket, and to have an answer on it. Then the next one is tried."""


class Lifeline:
    """The sockets of one session, one after the other. `run` it once.

    `pulse` beats at every step. `on_event` takes what comes, and nothing more is read until `has_room`.
    """

    def __init__(
        self,
        machine: ClientSession,
        socket: ListeningConnection,
        policy: ReconnectPolicy,
        *,
        key: str | None,
        pulse: Pulse,
        has_room: Callable[[], bool],
        on_event: Callable[[ServerEvent], None],
        on_change: Callable[[ConnectionChange], None],
    ) -> None:
        self._machine = machine
        self._socket = socket
        self._policy = policy
        self._key = key
        self._pulse = pulse
        self._has_room = has_room
        self._on_event = on_event
        self._on_change = on_change
        self._good_until = 0.0
        self._lost_at: float | None = None
        self._is_writing = False
        self._unwritable: ListeningConnection | None = None

    @property
    def socket(self) -> ListeningConnection:
        """The one that has the session, or had it last."""
        return self._socket

    @property
    def can_write(self) -> bool:
        """Tell whether the socket takes what is sent, as far as is known."""
        return self._unwritable is not self._socket

    @property
    def is_busy(self) -> bool:
        """Tell whether whoever sends should wait, because the network or the service takes no more at the moment.

        Nobody waits while there is no socket, nor while one that is new carries what has gathered.
        """
        machine = self._machine
        is_behind = (machine.has_unsent or self._is_writing) and not machine.is_catching_up
        return is_behind and machine.can_send and self.can_write

    async def run(self) -> None:
        """Carry the session until it is over. Cancelled, it leaves the socket open."""
        self._on_announced()
        try:
            while not self._machine.is_over:
                await self._carry(self._socket)
        finally:
            self._pulse.beat()

    async def _carry(self, socket: ListeningConnection) -> None:
        """Carry on `socket` until the session is over, or on another one."""
        machine = self._machine
        reader = asyncio.create_task(self._read(socket), name="harken-session-reader")
        writer = asyncio.create_task(self._write(socket), name="harken-session-writer")
        for task in (reader, writer):
            task.add_done_callback(lambda _: self._pulse.beat())
        try:
            await self._pulse.until(lambda: reader.done() or _is_faulty(writer) or machine.should_move)
            if not (machine.is_over or _is_faulty(reader) or _is_faulty(writer)):
                await self._move()
        finally:
            reader.cancel()
            writer.cancel()
            await asyncio.wait([reader, writer])
        for task in (reader, writer):
            if not task.cancelled():
                task.result()
        if self._socket is not socket:
            await leave_socket(socket)

    async def _read(self, socket: ListeningConnection) -> None:
        try:
            while self._is_on(socket):
                await self._pulse.until(self._has_room)
                frame = await socket.recv()
                await self._pulse.until(self._is_settled)
                if self._is_on(socket):
                    self._take(frame)
        except ConnectionClosed:
            await self._pulse.until(self._is_settled)
            if self._is_on(socket):
                self._machine.on_close(socket.close_code, socket.close_reason or "", quiet_s=socket.quiet_s)
        self._note_loss()

    async def _write(self, socket: ListeningConnection) -> None:
        try:
            while self._socket is socket:
                frame = self._machine.next_frame()
                if frame is None:
                    await self._pulse.until(lambda: self._machine.has_unsent and self._machine.can_send)
                    continue
                self._is_writing = True
                await socket.send(frame)
                self._is_writing = False
                socket.note_sent()
                self._pulse.beat()
        except ConnectionClosed:
            self._unwritable = socket
        finally:
            self._is_writing = False

    async def _move(self) -> None:
        """Take the session up on another socket, or see it end, here or elsewhere."""
        machine = self._machine
        if machine.is_connected:
            self._policy.on_leaving(self._now(), good_until=self._good_until)
        while not machine.is_over:
            attempt = self._policy.next_try(self._now(), random.random())
            if attempt is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(attempt.wait_s):
                        await self._pulse.until(lambda: machine.is_over)
                if machine.is_over or await self._try(attempt.url):
                    return
            elif machine.is_connected:
                await self._pulse.until(lambda: not machine.is_connected or machine.is_over)
            else:
                machine.give_up()

    async def _try(self, url: str) -> bool:
        """Tell whether the session is on another socket now."""
        machine = self._machine
        try:
            socket = await open_socket(url, key=self._key, open_timeout_s=TRY_WITHIN_S, resumes=True)
        except HarkenError as error:
            machine.on_resume_failed(error)
            return False
        try:
            if not machine.is_over:
                await self._resume_on(socket)
        finally:
            is_on_it = self._socket is socket and machine.is_connected
            if not is_on_it:
                await leave_socket(socket)
        self._note_loss()
        if is_on_it:
            self._on_resumed()
        return is_on_it

    async def _resume_on(self, socket: ListeningConnection) -> None:
        machine = self._machine
        try:
            await socket.send(machine.resume_frame())
            while machine.is_resuming and not machine.is_over:
                async with asyncio.timeout(TRY_WITHIN_S):
                    frame = await socket.recv()
                self._take(frame)
                if machine.has_moved:
                    self._socket = socket
                await self._pulse.until(self._has_room)
        except ConnectionClosed:
            machine.on_resume_failed(from_close(socket.close_code, socket.close_reason or ""))
        except TimeoutError:
            machine.on_resume_failed(CannotConnect(f"no answer within {TRY_WITHIN_S:g} s"))
        self._pulse.beat()

    def _take(self, frame: str | bytes) -> None:
        event = self._machine.on_text(frame, quiet_s=self._socket.quiet_s) if isinstance(frame, str) else None
        # A fatal error is raised by the iteration, not handed out as an event.
        if event is not None and self._machine.failure is None:
            self._on_event(event)
        self._pulse.beat()

    def _is_on(self, socket: ListeningConnection) -> bool:
        return self._socket is socket and self._machine.is_connected and not self._machine.is_over

    def _is_settled(self) -> bool:
        return not self._machine.is_resuming

    def _on_announced(self) -> None:
        grant = self._machine.grant
        if grant is not None:
            self._good_until = self._now() + grant.within_s
            self._socket.listen_closely()

    def _on_resumed(self) -> None:
        self._policy.on_resumed(self._now(), results=self._machine.results)
        self._on_announced()
        away_s = 0.0 if self._lost_at is None else self._now() - self._lost_at
        self._lost_at = None
        self._on_change(Reconnected(away_s))

    def _note_loss(self) -> None:
        error = self._machine.lost
        if error is not None and self._lost_at is None and not self._machine.is_over:
            self._lost_at = self._now()
            self._policy.on_lost(self._lost_at, good_until=self._good_until, results=self._machine.results)
            self._on_change(Reconnecting(error))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _is_faulty(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None
