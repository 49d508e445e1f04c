"""A service that is silent has lost a session that can go on elsewhere, and a machine that slept asks at once."""

import asyncio

import pytest

from bus.contract.client_protocol import ServerEvent, TranscriptFinal
from bus.contract.errors import IdleTimeout
from clients.sdk import LiveSession, Reconnecting, connect
from tests.unit.clients.stub_resume import Changes, ResumeStub
from tests.unit.clients.stub_service import StubService

pytestmark = pytest.mark.timeout(20)

SECOND = bytes(32_000)


async def rest(session: LiveSession) -> list[ServerEvent]:
    """The finals that still come."""
    return [event async for event in session if isinstance(event, TranscriptFinal)]


async def test_a_gateway_that_falls_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.silence.RESUMABLE_LIMIT_S", 0.1)
    monkeypatch.setattr("clients.connecting.PING_INTERVAL_S", 0.01)
    stub, changes = ResumeStub(), Changes()
    async with StubService(stub) as service, connect(service.url, on_connection=changes) as session:
        stub.fall_silent()
        await session.send(SECOND)
        lost = await changes.next()
        assert isinstance(lost, Reconnecting)
        assert "fell silent" in str(lost.error)
        await session.end()
        assert [type(event) for event in await rest(session)] == [TranscriptFinal]


@pytest.mark.parametrize("is_gone", [True, False])
async def test_after_a_sleep_the_connection_is_tried_at_once_and_left_if_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    monkeypatch.setattr("clients.silence.RESUMABLE_LIMIT_S", 1.2)
    stub, changes = ResumeStub(), Changes()
    wall = Wall()
    monkeypatch.setattr("clients.silence.time", wall)
    async with StubService(stub) as service, connect(service.url, on_connection=changes) as session:
        await wall.was_read(3)
        if is_gone:
            stub.fall_silent()
        wall.offset_s = 3600.0
        if is_gone:
            assert isinstance(await changes.next(), Reconnecting)
            assert wall.reads < 3 + 6  # without the sleep it takes twelve
        else:
            await wall.was_read(5)
        await session.send(SECOND)
        await session.end()
        assert [type(event) for event in await rest(session)] == [TranscriptFinal]
    assert len(stub.session.resumes) == is_gone


class Wall:
    """A wall clock that may be put on; it stands in for the module `time`."""

    def __init__(self) -> None:
        self.offset_s = 0.0
        self.reads = 0
        self._unread = asyncio.Semaphore(0)

    def time(self) -> float:
        self.reads += 1
        self._unread.release()
        return 1e9 + self.offset_s

    async def was_read(self, times: int) -> None:
        for _ in range(times):
            await self._unread.acquire()


async def test_a_service_that_took_a_busy_session_for_idle_is_asked_to_go_on() -> None:
    stub, changes = ResumeStub(), Changes()
    async with StubService(stub) as service, connect(service.url, on_connection=changes) as session:
        await session.send(SECOND)
        await stub.heard(len(SECOND))
        await stub.break_off("idle_timeout")
        assert isinstance(await changes.next(), Reconnecting)
        await session.end()
        assert [type(event) for event in await rest(session)] == [TranscriptFinal]


async def test_a_session_that_was_idle_by_its_own_count_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.silence.RESUMABLE_LIMIT_S", 1.2)
    monkeypatch.setattr("clients.session._IDLE_SHARE", 0.001)
    stub = ResumeStub()
    wall = Wall()
    monkeypatch.setattr("clients.silence.time", wall)
    async with StubService(stub) as service, connect(service.url) as session:
        await wall.was_read(4)
        await stub.break_off("idle_timeout")
        with pytest.raises(IdleTimeout):
            await anext(session)
