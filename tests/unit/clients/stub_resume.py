"""A service on a real socket that can resume one session, and whose connections a test cuts, drains and refuses."""

import asyncio
from collections import deque
from collections.abc import Callable

from websockets.exceptions import ConnectionClosed

from bus.contract.client_protocol import ErrorEvent, ServerEvent, SessionDraining, SessionResume
from clients.connection_changes import ConnectionChange
from tests.unit.clients.events import error
from tests.unit.clients.resumable import ResumableService
from tests.unit.clients.stub_service import StubSession


class ResumeStub:
    """A behaviour for `StubService`, or for several of them: they share the session, as gateways do."""

    def __init__(self, *, bytes_per_final: int = 32_000) -> None:
        self.session = ResumableService(bytes_per_final=bytes_per_final)
        self.cuts_at_bytes: deque[int] = deque()
        """Cut the connection once so much audio has come; each once."""
        self.refusals: deque[ErrorEvent | None] = deque()
        """What answers the next resumes; None: nothing does."""
        self.refused = asyncio.Event()
        """Set once there are no more of them."""
        self.ports: list[int] = []
        """Of the service, for each connection that has had the session."""
        self.found_earlier: list[bool] = []
        """For each resume, whether the connection before was still open."""
        self._current: StubSession | None = None
        self._silent: StubSession | None = None
        self._changed = asyncio.Event()

    async def __call__(self, stub: StubSession) -> None:
        first = await stub.receive()
        if isinstance(first, SessionResume) and self.refusals:
            await self._refuse(stub, self.refusals.popleft())
            return
        earlier, self._current = self._current, stub
        if earlier is not None:
            self.found_earlier.append(earlier.socket.close_code is None)
            await self._let_go(earlier)
        self.ports.append(stub.socket.local_address[1])
        await self._send(stub, self.session.connect(first))
        self._changed.set()
        while not self.session.has_ended:
            frame = await stub.receive()
            if self._current is not stub:
                return
            await self._send(stub, self.session.receive(frame))
            self._changed.set()
            if self.cuts_at_bytes and len(self.session.audio) >= self.cuts_at_bytes[0]:
                self.cuts_at_bytes.popleft()
                self.cut()

    async def connections(self, count: int) -> None:
        """Wait until so many have had the session."""
        await self._until(lambda: len(self.ports) >= count)

    async def heard(self, size: int) -> None:
        """Wait until so much audio has come."""
        await self._until(lambda: len(self.session.audio) >= size)

    async def turns_taken(self, count: int) -> None:
        """Wait until so many turns are stored."""
        await self._until(lambda: len(self.session.turns) >= count)

    def cut(self) -> None:
        """Reset the connection that has the session."""
        assert self._current is not None
        self._current.socket.transport.abort()

    def fall_silent(self) -> None:
        """Read nothing more of it, as a process that was stopped, until another one has the session."""
        assert self._current is not None
        self._current.socket.transport.pause_reading()
        self._silent = self._current

    async def send(self, event: ServerEvent) -> None:
        """Give an event to the connection that has the session."""
        assert self._current is not None
        await self._current.send(event)

    async def drain(self, *, within_s: float = 5.0) -> None:
        """Say that this gateway goes away."""
        await self.send(SessionDraining(seq=self.session.next_seq(), within_s=within_s))

    async def break_off(self, code: str) -> None:
        """End the connection with a fatal error."""
        assert self._current is not None
        await self.send(error(self.session.next_seq(), code=code, retryable=True, fatal=True))
        await self._current.socket.close(1013)

    async def _refuse(self, stub: StubSession, refusal: ErrorEvent | None) -> None:
        if not self.refusals:
            self.refused.set()
        if refusal is None:
            await stub.socket.wait_closed()
        else:
            await stub.send(refusal)

    async def _let_go(self, stub: StubSession) -> None:
        try:
            if stub is self._silent:
                stub.socket.transport.abort()
            await stub.send(error(10_000, code="session_taken", fatal=True))
            await stub.socket.close(4412)
        except ConnectionClosed:
            pass

    async def _send(self, stub: StubSession, events: list[ServerEvent]) -> None:
        for event in events:
            await stub.send(event)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._changed.clear()
            await self._changed.wait()


class Changes:
    """What the application hears of its connection."""

    def __init__(self) -> None:
        self.all: list[ConnectionChange] = []
        self._happened = asyncio.Event()

    def __call__(self, change: ConnectionChange) -> None:
        self.all.append(change)
        self._happened.set()

    async def next(self) -> ConnectionChange:
        await self._happened.wait()
        self._happened.clear()
        return self.all[-1]
