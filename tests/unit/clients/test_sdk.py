import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bus.contract.client_protocol import (
    AudioCommit,
    AudioCommitted,
    AudioEnd,
    AudioFormat,
    SessionDraining,
    SessionStart,
    TranscriptFinal,
    VadOptions,
)
from bus.contract.errors import ClientTooSlow, Draining, IdleTimeout, Overloaded
from clients.failures import ConnectionLost, SessionOver
from clients.sdk import connect
from clients.session import Phase
from tests.unit.clients.events import ended, error, final, started
from tests.unit.clients.stub_service import StubService, StubSession

SECOND = bytes(32_000)
PATIENCE_S = 10.0


async def test_audio_goes_out_and_typed_events_come_back_until_the_session_has_ended() -> None:
    async with StubService() as service, connect(service.url) as session:
        assert session.started.model == "base"
        await session.send(SECOND * 2)
        await session.end()
        events = [event async for event in session]
    assert [event.text for event in events if isinstance(event, TranscriptFinal)] == [
        "This is segment 1.",
        "This is segment 2.",
    ]
    assert events[-1].seq == max(event.seq for event in events)
    assert session.phase is Phase.ENDED
    assert session.committed_offset == 32_000
    assert bytes(service.audio) == SECOND * 2


async def test_everything_asked_for_arrives_in_the_start_and_the_key_as_bearer_token() -> None:
    async with (
        StubService() as service,
        connect(
            service.url,
            key="k-123",
            audio=AudioFormat(encoding="mulaw", sample_rate=8_000),
            language="de",
            task="translate",
            model="base",
            hotwords=["Harken", "NATS"],
            prompt="before",
            vad=VadOptions(endpoint_s=0.4),
            partials=False,
            word_times=False,
        ),
    ):
        pass
    assert service.keys == ["Bearer k-123"]
    assert service.starts == [
        SessionStart(
            audio=AudioFormat(encoding="mulaw", sample_rate=8_000),
            language="de",
            task="translate",
            model="base",
            hotwords=("Harken", "NATS"),
            prompt="before",
            vad=VadOptions(endpoint_s=0.4),
            partials=False,
            word_times=False,
        )
    ]


async def test_frames_stay_within_the_announced_size() -> None:
    sizes: list[int] = []

    async def measure(session: StubSession) -> None:
        await session.open()
        while isinstance(frame := await session.receive(), bytes):
            sizes.append(len(frame))
        await session.send(ended(session.next_seq()))

    async with StubService(measure, max_frame_bytes=1_000) as service, connect(service.url) as session:
        await session.send(bytes(2_500))
        await session.end()
        assert [event async for event in session][-1].seq == 2
    assert sizes == [1_000, 1_000, 500]


async def test_a_commit_goes_out_behind_the_audio_sent_before() -> None:
    heard: list[object] = []

    async def listen(session: StubSession) -> None:
        await session.open()
        while not isinstance(message := await session.receive(), AudioEnd):
            heard.append(message)
        await session.send(ended(session.next_seq()))

    async with StubService(listen) as service, connect(service.url) as session:
        await session.send(b"aa")
        await session.commit()
        await session.send(b"bb")
        await session.end()
        assert [event async for event in session][-1].seq == 2
        with pytest.raises(SessionOver):
            await session.commit()
    assert heard == [b"aa", AudioCommit(), b"bb"]


async def test_end_may_be_called_twice_and_sending_after_it_is_refused() -> None:
    async with StubService() as service, connect(service.url) as session:
        await session.end()
        await session.end()
        with pytest.raises(SessionOver):
            await session.send(SECOND)


async def test_leaving_early_closes_the_socket_cleanly() -> None:
    async with StubService() as service:
        async with connect(service.url) as session:
            await session.send(SECOND)
            await anext(session)
        async with asyncio.timeout(PATIENCE_S):
            assert all([isinstance(event, TranscriptFinal | AudioCommitted) async for event in session])


@asynccontextmanager
async def frozen_service() -> AsyncIterator[tuple[StubService, asyncio.Event]]:
    """A service that opens a session and reads no more of it, until it is released."""
    released = asyncio.Event()

    async def freeze(session: StubSession) -> None:
        await session.open()
        session.socket.transport.pause_reading()
        await released.wait()
        session.socket.transport.abort()

    async with StubService(freeze) as service:
        yield service, released


async def test_leaving_takes_bounded_time_although_the_service_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.connecting.CLOSE_TIMEOUT_S", 0.05)
    async with frozen_service() as (service, released):
        async with asyncio.timeout(PATIENCE_S):
            async with connect(service.url):
                pass
        released.set()


async def test_leaving_takes_bounded_time_although_the_service_reads_none_of_what_waits_to_be_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clients.connecting.CLOSE_TIMEOUT_S", 0.05)
    async with frozen_service() as (service, released):
        async with asyncio.timeout(PATIENCE_S):
            async with connect(service.url) as session:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        while True:
                            await session.send(SECOND)
        released.set()


async def test_a_cancelled_task_leaves_the_session_and_the_cancellation_goes_on() -> None:
    async with StubService() as service:
        opened = asyncio.Event()

        async def listen() -> None:
            async with connect(service.url) as session:
                opened.set()
                await anext(session)

        task = asyncio.create_task(listen())
        await asyncio.wait_for(opened.wait(), PATIENCE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_fatal_error_comes_after_the_events_before_it() -> None:
    async def break_down(session: StubSession) -> None:
        await session.open()
        await session.receive()
        await session.send(final(2))
        await session.send(error(3, code="client_too_slow", fatal=True))
        await session.socket.close(4429)

    async with StubService(break_down) as service, connect(service.url) as session:
        await session.send(SECOND)
        assert isinstance(await anext(session), TranscriptFinal)
        with pytest.raises(ClientTooSlow):
            await anext(session)
        with pytest.raises(ClientTooSlow):
            await session.send(SECOND)


async def test_a_broken_connection_is_an_error_and_never_looks_like_the_end() -> None:
    async def vanish(session: StubSession) -> None:
        await session.open()
        session.socket.transport.abort()

    async with StubService(vanish) as service, connect(service.url) as session:
        with pytest.raises(ConnectionLost):
            await anext(session)


async def test_sending_into_a_closed_socket_gives_the_reason_of_the_service() -> None:
    async def refuse_audio(session: StubSession) -> None:
        await session.open()
        await session.receive()
        await session.socket.close(1013, "no place left")

    async with StubService(refuse_audio) as service, connect(service.url) as session:
        with pytest.raises(Overloaded, match="no place left"):
            while True:
                await session.send(SECOND)


async def test_a_send_that_waits_for_a_frozen_service_learns_that_the_session_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clients.connecting.CLOSE_TIMEOUT_S", 0.05)
    released = asyncio.Event()

    async def freeze(session: StubSession) -> None:
        await session.open()
        await session.receive()
        await session.send(error(2, code="idle_timeout", fatal=True))
        session.socket.transport.pause_reading()
        await released.wait()
        session.socket.transport.abort()

    async with StubService(freeze) as service, connect(service.url) as session:
        with pytest.raises(IdleTimeout):
            while True:
                await session.send(SECOND)
        released.set()


async def test_a_sender_that_takes_no_events_still_learns_why_the_socket_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clients.inbox.EventInbox.__init__.__kwdefaults__", {"max_events": 1})
    monkeypatch.setattr("clients.live_session._LAST_EVENTS_TIMEOUT_S", 0.05)

    async def flood(session: StubSession) -> None:
        await session.open()
        for seq in (2, 3, 4):
            await session.send(final(seq, segment=seq))
        await session.receive()
        await session.socket.close(1012, "going away")

    async with StubService(flood) as service, connect(service.url) as session:
        with pytest.raises(Draining, match="going away"):
            while True:
                await session.send(SECOND)


async def test_draining_is_announced_and_the_session_still_ends_well() -> None:
    async def drain(session: StubSession) -> None:
        await session.open()
        await session.send(SessionDraining(seq=2, within_s=8.0))
        assert isinstance(await session.receive(), AudioEnd)
        await session.send(ended(3))

    async with StubService(drain) as service, connect(service.url) as session:
        assert isinstance(await anext(session), SessionDraining)
        assert session.draining_within_s == 8.0
        await session.end()
        assert [event.seq async for event in session] == [3]


async def test_a_whole_recording_may_be_sent_before_any_event_is_taken() -> None:
    async with StubService() as service, connect(service.url) as session:
        for _ in range(300):
            await session.send(SECOND)
        await session.end()
        events = [event async for event in session]
    assert len([event for event in events if isinstance(event, TranscriptFinal)]) == 300
    assert [event.offset for event in events if isinstance(event, AudioCommitted)][-1] == 300 * 16_000


async def test_a_full_inbox_stops_the_reading_and_no_final_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.inbox.EventInbox.__init__.__kwdefaults__", {"max_events": 2})
    async with StubService() as service, connect(service.url) as session:
        await session.send(SECOND * 20)
        await session.end()
        events = [event async for event in session]
    assert len([event for event in events if isinstance(event, TranscriptFinal)]) == 20


async def test_binary_frames_of_a_newer_service_are_ignored() -> None:
    async def chatter(session: StubSession) -> None:
        await session.receive()
        await session.socket.send(b"?")
        await session.socket.send('{"type":"news","seq":0}')
        await session.send(started(1))
        await session.socket.send(b"?")
        await session.send(ended(2))

    async with StubService(chatter) as service, connect(service.url) as session:
        assert [event.seq async for event in session] == [2]
