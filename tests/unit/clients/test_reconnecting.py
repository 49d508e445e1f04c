"""A session whose connection is cut, falls silent or is taken away goes on on another one."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest

from bus.contract.client_protocol import (
    ChatOptions,
    ServerEvent,
    SessionDraining,
    SessionEnded,
    SessionResumed,
    TranscriptFinal,
)
from bus.contract.errors import CannotResume, SessionTaken
from clients.failures import CannotConnect, ConnectionLost, SessionOver
from clients.sdk import ConnectionChange, LiveSession, Phase, Reconnected, Reconnecting, connect
from tests.unit.clients.events import chat_started, delta, done, error
from tests.unit.clients.stub_resume import Changes, ResumeStub
from tests.unit.clients.stub_service import NOBODY, StubService, refusal

SECOND = bytes(range(250)) * 128
PATIENCE_S = 10.0


@pytest.fixture(autouse=True)
async def patience(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Short waits between tries, and an end to each test."""
    monkeypatch.setattr("clients.reconnect.LONGEST_WAIT_S", 0.01)
    async with asyncio.timeout(PATIENCE_S):
        yield


def phase_of(session: LiveSession) -> Phase:
    return session.phase


def texts(events: list[ServerEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, TranscriptFinal)]


def segments(count: int) -> list[str]:
    return [f"This is segment {number}." for number in range(1, count + 1)]


async def test_a_session_whose_connection_is_cut_again_and_again_loses_and_doubles_nothing() -> None:
    stub, changes = ResumeStub(), Changes()
    stub.cuts_at_bytes.extend([20_000, 50_000, 100_000, 200_000])
    async with StubService(stub) as service, connect(service.url, on_connection=changes) as session:
        for _ in range(10):
            await session.send(SECOND)
        await session.end()
        events = [event async for event in session]
    assert bytes(stub.session.audio) == SECOND * 10
    assert texts(events) == segments(10)
    assert isinstance(events[-1], SessionEnded)
    assert len([event for event in events if isinstance(event, SessionResumed)]) == 4
    assert [type(change) for change in changes.all] == [Reconnecting, Reconnected] * 4
    assert all(change.away_s > 0 for change in changes.all if isinstance(change, Reconnected))
    assert phase_of(session) is Phase.ENDED


async def test_what_is_sent_while_nobody_answers_waits_and_the_sender_does_not() -> None:
    stub, changes = ResumeStub(), Changes()
    async with StubService(stub) as service, connect(service.url, on_connection=changes) as session:
        await session.send(SECOND)
        service.refusal = refusal(HTTPStatus.SERVICE_UNAVAILABLE, b"")
        stub.cut()
        assert isinstance(await changes.next(), Reconnecting)
        assert phase_of(session) is Phase.AWAY
        for _ in range(30):
            await session.send(SECOND)
        await session.commit()
        service.refusal = None
        assert isinstance(await changes.next(), Reconnected)
        assert phase_of(session) is Phase.OPEN
        await session.end()
        assert texts([event async for event in session]) == segments(31)
    assert bytes(stub.session.audio) == SECOND * 31
    assert stub.session.commits == {31 * len(SECOND)}


async def test_a_sender_waits_once_no_more_can_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "clients.session.ClientSession.__init__.__kwdefaults__", {"resumes": True, "max_replay_bytes": 50_000}
    )
    stub, changes = ResumeStub(), Changes()
    async with StubService(stub) as service, connect(service.url, on_connection=changes) as session:
        service.refusal = refusal(HTTPStatus.SERVICE_UNAVAILABLE, b"")
        stub.cut()
        await changes.next()
        sending = asyncio.create_task(session.send(SECOND * 3))
        await asyncio.wait([sending], timeout=0.05)
        assert not sending.done()
        service.refusal = None
        await sending
        await session.end()
        assert texts([event async for event in session]) == segments(3)


async def test_the_end_may_be_said_while_away() -> None:
    stub, changes = ResumeStub(), Changes()
    async with StubService(stub) as service, connect(service.url, on_connection=changes) as session:
        service.refusal = refusal(HTTPStatus.SERVICE_UNAVAILABLE, b"")
        await session.send(SECOND)
        stub.cut()
        await changes.next()
        await session.end()
        with pytest.raises(SessionOver):
            await session.send(SECOND)
        service.refusal = None
        assert texts([event async for event in session]) == segments(1)
    assert phase_of(session) is Phase.ENDED


async def test_an_answer_goes_on_where_it_was_and_a_turn_typed_meanwhile_is_taken_once() -> None:
    stub, changes = ResumeStub(), Changes()
    async with (
        StubService(stub) as service,
        connect(service.url, chat=ChatOptions(), on_connection=changes) as session,
    ):
        answer = session.answer("What is a message broker?")
        first = asyncio.create_task(anext(answer))
        await stub.turns_taken(1)
        await stub.send(chat_started(stub.session.next_seq(), name="m1"))
        await stub.send(delta(stub.session.next_seq(), "It carries "))
        assert await first == "It carries "
        stub.cut()
        await changes.next()
        await session.say("And a queue?", answer=False)
        assert isinstance(await changes.next(), Reconnected)
        await stub.turns_taken(2)
        await stub.send(delta(stub.session.next_seq(), "messages."))
        await stub.send(done(stub.session.next_seq(), "It carries messages."))
        assert [piece async for piece in answer] == ["messages."]
    assert answer.text == "It carries messages."
    assert stub.session.turns == [("m1", "What is a message broker?"), ("m2", "And a queue?")]
    held = stub.session.resumes[0].answer
    assert held is not None
    assert held.text == "It carries "


async def test_it_goes_to_the_next_of_several_addresses() -> None:
    stub = ResumeStub()
    stub.cuts_at_bytes.extend([20_000, 50_000])
    async with StubService(stub) as first, StubService(stub) as second:
        async with connect(f"{first.url},{second.url}") as session:
            for _ in range(3):
                await session.send(SECOND)
            await session.end()
            assert texts([event async for event in session]) == segments(3)
        ports = [int(service.url.rpartition(":")[2]) for service in (first, second)]
    assert stub.ports == [ports[0], ports[1], ports[0]]
    assert first.paths == ["/v1/stream", "/v1/stream?resume=1"]
    assert second.paths == ["/v1/stream?resume=1"]


async def test_a_session_opens_at_the_first_address_that_answers() -> None:
    async with StubService() as service:
        async with connect([NOBODY, service.url]) as session:
            assert phase_of(session) is Phase.OPEN
        with pytest.raises(CannotConnect):
            async with connect([NOBODY, NOBODY]):
                pass


async def test_a_session_leaves_a_gateway_that_goes_away_before_that_is_gone() -> None:
    stub, changes = ResumeStub(), Changes()
    async with StubService(stub) as service, connect(service.url, on_connection=changes) as session:
        await session.send(SECOND)
        await stub.drain()
        assert await changes.next() == Reconnected(0.0)
        assert session.draining_within_s is None
        await session.send(SECOND)
        await session.end()
        events = [event async for event in session]
    assert stub.found_earlier == [True]
    assert texts(events) == segments(2)
    assert not any(isinstance(event, SessionDraining) for event in events)
    assert bytes(stub.session.audio) == SECOND * 2


async def test_a_move_that_is_refused_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    stub, changes = ResumeStub(), Changes()
    busy = error(1, code="overloaded", retryable=True, fatal=True)
    stub.refusals.extend([busy, busy])
    async with StubService(stub) as service, connect(service.url, on_connection=changes) as session:
        await stub.drain()
        await stub.refused.wait()
        await session.send(SECOND)
        assert await changes.next() == Reconnected(0.0)
        await session.end()
        assert texts([event async for event in session]) == segments(1)
    assert changes.all == [Reconnected(0.0)]


async def test_a_gateway_that_goes_away_while_no_other_takes_the_session_is_used_to_its_end() -> None:
    stub, changes = ResumeStub(), Changes()
    async with StubService(stub) as service, connect(service.url, on_connection=changes, give_up_s=0.02) as session:
        service.refusal = refusal(HTTPStatus.SERVICE_UNAVAILABLE, b"")
        await stub.drain()
        await session.send(SECOND)
        await session.end()
        assert texts([event async for event in session]) == segments(1)
    assert changes.all == []


async def test_a_gateway_in_trouble_is_left() -> None:
    stub, changes = ResumeStub(), Changes()
    async with StubService(stub) as service, connect(service.url, on_connection=changes) as session:
        await session.send(SECOND)
        await stub.heard(len(SECOND))
        await stub.break_off("bus_unavailable")
        assert isinstance(await changes.next(), Reconnecting)
        await session.end()
        assert texts([event async for event in session]) == segments(1)


async def test_a_service_that_does_not_know_the_session_any_more_fails_it() -> None:
    stub = ResumeStub()
    stub.refusals.append(error(1, code="cannot_resume", fatal=True))
    async with StubService(stub) as service, connect(service.url) as session:
        stub.cut()
        with pytest.raises(CannotResume):
            async for _ in session:
                pass
        with pytest.raises(CannotResume):
            await session.send(SECOND)


async def test_a_try_that_nobody_answers_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.lifeline.TRY_WITHIN_S", 0.1)
    stub = ResumeStub()
    stub.refusals.extend([None, None])
    async with StubService(stub) as service, connect(service.url) as session:
        stub.cut()
        await session.send(SECOND)
        await session.end()
        assert texts([event async for event in session]) == segments(1)


async def test_a_session_that_another_client_took_up_fails() -> None:
    stub = ResumeStub()
    async with StubService(stub) as service, connect(service.url) as session:
        await stub.break_off("session_taken")
        with pytest.raises(SessionTaken):
            await anext(session)


async def test_a_session_that_finds_no_other_gateway_gives_up_and_says_why() -> None:
    stub, changes = ResumeStub(), Changes()
    async with StubService(stub) as service:
        async with connect(service.url, give_up_s=0.05, on_connection=changes) as session:
            service.refusal = refusal(HTTPStatus.SERVICE_UNAVAILABLE, b"")
            stub.cut()
            with pytest.raises(
                ConnectionLost, match=r"could not be taken up again; the last try: .* takes no new session now"
            ):
                await anext(session)
            with pytest.raises(ConnectionLost):
                await session.send(SECOND)
    assert len(changes.all) == 1


async def test_without_the_wish_to_resume_a_cut_is_the_end() -> None:
    stub = ResumeStub()
    async with StubService(stub) as service, connect(service.url, resume=False) as session:
        await session.send(SECOND)
        stub.cut()
        with pytest.raises(ConnectionLost):
            async for _ in session:
                pass
    assert stub.session.resumes == []


async def test_leaving_while_away_is_quick() -> None:
    stub, changes = ResumeStub(), Changes()
    async with StubService(stub) as service:
        async with connect(service.url, on_connection=changes):
            service.refusal = refusal(HTTPStatus.SERVICE_UNAVAILABLE, b"")
            stub.cut()
            await changes.next()


async def test_leaving_in_the_middle_of_a_try_is_quick() -> None:
    stub = ResumeStub()
    stub.refusals.append(None)
    async with StubService(stub) as service:
        async with connect(service.url):
            stub.cut()
            await stub.refused.wait()


async def test_an_application_that_takes_no_events_has_them_all_after_the_resume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clients.inbox.EventInbox.__init__.__kwdefaults__", {"max_events": 2})
    stub = ResumeStub()
    stub.cuts_at_bytes.append(20 * len(SECOND))
    async with StubService(stub) as service, connect(service.url) as session:
        await session.send(SECOND * 20)
        await session.end()
        assert texts([event async for event in session]) == segments(20)


async def test_what_the_listener_raises_is_raised_by_the_iteration() -> None:
    def fail(change: ConnectionChange) -> None:
        raise RuntimeError("of the application")

    stub = ResumeStub()
    async with StubService(stub) as service, connect(service.url, on_connection=fail) as session:
        stub.cut()
        with pytest.raises(RuntimeError, match="of the application"):
            await anext(session)
        with pytest.raises(RuntimeError, match="of the application"):
            await session.send(SECOND)


async def test_a_session_that_was_left_takes_nothing_more() -> None:
    async with StubService(ResumeStub()) as service:
        async with connect(service.url) as session:
            pass
        with pytest.raises(SessionOver, match="was left"):
            await session.send(SECOND)
