"""A service that holds back the reading lives; one from which nothing comes at all is dead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bus.contract.client_protocol import SessionEnded, TranscriptFinal
from clients.connecting import open_socket
from clients.failures import ConnectionLost
from clients.sdk import connect
from clients.silence import ListeningConnection
from tests.unit.clients.events import ended, final
from tests.unit.clients.stub_service import StubService, StubSession

SECOND = bytes(32_000)
PATIENCE_S = 10.0
LIMIT_S = 0.1
PING_INTERVAL_S = LIMIT_S / 10
MANY_LOOKS = 60
"""Far more than a connection takes to find a service silent."""


class Looks:
    def __init__(self) -> None:
        self.taken = 0
        self.were_many = asyncio.Event()


@pytest.fixture
async def looks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Looks]:
    """Short limits, and an event once a connection has looked often."""
    monkeypatch.setattr("clients.silence.SILENCE_LIMIT_S", LIMIT_S)
    monkeypatch.setattr("clients.connecting.CLOSE_TIMEOUT_S", 0.05)
    counted = Looks()
    look = ListeningConnection._look

    def count(connection: ListeningConnection) -> None:
        counted.taken += 1
        if counted.taken == MANY_LOOKS:
            counted.were_many.set()
        look(connection)

    monkeypatch.setattr(ListeningConnection, "_look", count)
    yield counted


@asynccontextmanager
async def silent_service() -> AsyncIterator[str]:
    """Serve one session, and neither read nor write after its start."""
    released = asyncio.Event()

    async def fall_silent(session: StubSession) -> None:
        await session.open()
        session.socket.transport.pause_reading()
        await released.wait()
        session.socket.transport.abort()

    async with asyncio.timeout(PATIENCE_S), StubService(fall_silent) as service:
        try:
            yield service.url
        finally:
            released.set()


async def test_a_service_from_which_nothing_comes_is_given_up(looks: Looks) -> None:
    async with silent_service() as url, connect(url) as session:
        with pytest.raises(ConnectionLost, match=r"the service fell silent, nothing came from it for 0\.1 s"):
            await anext(session)


async def test_a_send_that_waits_for_a_silent_service_learns_of_it(looks: Looks) -> None:
    async with silent_service() as url, connect(url) as session:
        with pytest.raises(ConnectionLost, match="fell silent"):
            while True:
                await session.send(SECOND)


@pytest.mark.parametrize("seconds", [1, 500], ids=["pings go out unread", "nothing more goes out"])
async def test_a_service_that_stops_reading_but_pings_is_waited_for(
    looks: Looks, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    monkeypatch.setattr("clients.connecting.PING_INTERVAL_S", PING_INTERVAL_S)

    async def hold_back(session: StubSession) -> None:
        await session.open()
        session.socket.transport.pause_reading()
        await looks.were_many.wait()
        session.socket.transport.resume_reading()
        while isinstance(await session.receive(), bytes):
            pass
        await session.send(ended(2))

    async with (
        asyncio.timeout(PATIENCE_S),
        StubService(hold_back, ping_interval_s=PING_INTERVAL_S) as service,
        connect(service.url) as session,
    ):
        for _ in range(seconds):
            await session.send(SECOND)
        await session.end()
        assert [event async for event in session] == [ended(2)]
    assert len(service.audio) == seconds * len(SECOND)


async def test_no_pong_is_too_late() -> None:
    async with StubService() as service:
        socket = await open_socket(service.url, key=None, open_timeout_s=PATIENCE_S)
        assert (socket.ping_interval, socket.ping_timeout) == (5.0, None)
        await socket.close()


async def test_a_service_that_never_pings_lives_by_its_pongs(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.connecting.PING_INTERVAL_S", PING_INTERVAL_S)

    async def think(session: StubSession) -> None:
        await session.open()
        await looks.were_many.wait()
        await session.send(ended(2))

    async with asyncio.timeout(PATIENCE_S), StubService(think) as service, connect(service.url) as session:
        assert isinstance(await anext(session), SessionEnded)


async def test_an_application_that_takes_no_events_does_not_blame_the_service(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.inbox.EventInbox.__init__.__kwdefaults__", {"max_events": 1})

    async def flood(session: StubSession) -> None:
        await session.open()
        for segment in range(1, 101):
            await session.send(final(segment + 1, segment=segment))
        await session.send(ended(102))

    async with asyncio.timeout(PATIENCE_S), StubService(flood) as service, connect(service.url) as session:
        await looks.were_many.wait()
        assert len([event async for event in session if isinstance(event, TranscriptFinal)]) == 100


async def test_a_closed_connection_looks_no_more(looks: Looks) -> None:
    async with StubService() as service:
        socket = await open_socket(service.url, key=None, open_timeout_s=PATIENCE_S)
        assert isinstance(socket, ListeningConnection)
        await socket.close()
    assert socket._next_look.cancelled()
    assert socket.close_reason == ""
