import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from bus.contract.client_protocol import AudioEnd
from clients.cli.media import MediaError
from clients.cli.microphone import BlockQueue
from clients.cli.sources import Source
from clients.cli.transcription import Outcome
from tests.unit.clients.cli.benches import (
    PATIENCE_S,
    SECOND,
    Bench,
    endless,
    live_source,
    pieces,
    run_one,
    silent,
    source,
)
from tests.unit.clients.events import ended, error, failed, final
from tests.unit.clients.stub_service import NOBODY, Behaviour, StubService, StubSession, transcribe_each_second


async def test_finals_are_written_and_the_outcome_is_good() -> None:
    outcome, bench = await run_one(transcribe_each_second, pieces(SECOND, SECOND))
    assert outcome == Outcome()
    assert bench.paper.getvalue() == "This is segment 1.\nThis is segment 2.\n"
    assert bench.screen.messages == []
    assert bench.latencies[0].audio_s == 2.0


async def test_several_recordings_come_out_in_their_order_each_below_its_label() -> None:
    first_may_end = asyncio.Event()

    async def slow() -> AsyncGenerator[bytes, None]:
        yield SECOND
        await first_may_end.wait()

    async def fast() -> AsyncGenerator[bytes, None]:
        yield SECOND
        first_may_end.set()

    async with StubService() as service:
        bench = Bench(service.url, source(slow, label="slow"), source(fast, label="fast"))
        assert await bench.run() == [Outcome(), Outcome()]
    assert bench.paper.getvalue() == "==> slow <==\nThis is segment 1.\n\n==> fast <==\nThis is segment 1.\n\n"


async def test_no_more_run_at_once_than_asked_for() -> None:
    running: list[str] = []
    most = 0

    def watched(label: str) -> Callable[[], AsyncGenerator[bytes, None]]:
        async def give() -> AsyncGenerator[bytes, None]:
            nonlocal most
            running.append(label)
            most = max(most, len(running))
            yield SECOND
            await asyncio.sleep(0)
            running.remove(label)

        return give

    async with StubService() as service:
        bench = Bench(service.url, *(source(watched(label), label=label) for label in "abcde"))
        await bench.run(at_once=2)
    assert most == 2


async def test_audio_goes_out_no_faster_than_it_was_spoken_if_asked_for() -> None:
    tenth = bytes(3_200)
    async with StubService() as service:
        bench = Bench(service.url, source(pieces(tenth, tenth, tenth)), realtime=True)
        await bench.run()
    assert 0.3 <= bench.latencies[0].wall_s < 2.0


async def test_a_recording_that_breaks_in_the_middle_still_gets_its_finals() -> None:
    outcome, bench = await run_one(transcribe_each_second, pieces(SECOND, fault=MediaError("torn tape")))
    assert outcome.error == "torn tape"
    assert bench.paper.getvalue() == "This is segment 1.\n"
    assert bench.screen.messages == ["a: torn tape"]


async def test_a_source_that_breaks_in_an_unforeseen_way_ends_the_session_too() -> None:
    with pytest.raises(RuntimeError, match="nobody thought of this"):
        await run_one(transcribe_each_second, pieces(SECOND, fault=RuntimeError("nobody thought of this")))


async def test_a_recording_that_cannot_be_read_at_all_opens_no_session() -> None:
    async with StubService() as service:
        bench = Bench(service.url, source(pieces(fault=MediaError("no tape"))))
        assert (await bench.run())[0].error == "no tape"
        assert service.starts == []
    assert bench.paper.getvalue() == ""


async def test_an_empty_recording_is_an_error() -> None:
    outcome, _ = await run_one(transcribe_each_second, pieces())
    assert outcome.error == "holds no audio"


async def test_a_service_that_is_not_running_is_answered_with_how_to_start_it() -> None:
    bench = Bench(NOBODY, source(pieces(SECOND)))
    assert "harken up" in ((await bench.run())[0].error or "")


async def test_a_failed_segment_is_an_error_of_the_recording_and_the_rest_goes_on() -> None:
    async def fail_first(session: StubSession) -> None:
        await session.open()
        await session.send(error(2))
        await session.send(failed(3, segment=1, start_s=1.0, end_s=2.5))
        await session.send(final(4, segment=2, text="the rest"))
        while not isinstance(await session.receive(), AudioEnd):
            pass
        await session.send(ended(5))

    outcome, bench = await run_one(fail_first, pieces(SECOND))
    assert outcome.error == "no transcript from 00:01.0 to 00:02.5: gave up [decode_failed]"
    assert bench.paper.getvalue() == "the rest\n"
    assert bench.screen.messages == ["a: what went wrong", f"a: {outcome.error}"]


async def test_a_session_that_fails_keeps_what_was_final_before() -> None:
    async def fail(session: StubSession) -> None:
        await session.open()
        await session.receive()
        await session.send(final(2, text="before"))
        await session.send(error(3, code="overloaded", fatal=True))

    outcome, bench = await run_one(fail, endless)
    assert outcome.error == "what went wrong"
    assert bench.paper.getvalue() == "before\n"


async def test_a_session_that_the_service_ends_early_is_an_error() -> None:
    async def end(session: StubSession) -> None:
        await session.open()
        await session.receive()
        await session.send(ended(2, reason="draining"))
        await session.socket.wait_closed()

    outcome, _ = await run_one(end, endless)
    assert outcome.error == "the session ended before all audio was sent"


async def stopped(behaviour: Behaviour, source: Source) -> tuple[Outcome, Bench]:
    async with StubService(behaviour) as service:
        bench = Bench(service.url, source)
        job = asyncio.create_task(bench.run())
        await asyncio.wait_for(bench.screen.changed.wait(), PATIENCE_S)
        bench.stop.set()
        return (await job)[0], bench


async def never_end(session: StubSession) -> None:
    await session.open()
    await session.send(error(2))
    await session.socket.wait_closed()


async def test_stopping_ends_the_audio_and_waits_for_the_finals() -> None:
    async def late_final(session: StubSession) -> None:
        await session.open()
        await session.send(error(2))
        while not isinstance(await session.receive(), AudioEnd):
            pass
        await session.send(final(3, text="the last words"))
        await session.send(ended(4))

    outcome, bench = await stopped(late_final, source(endless))
    assert outcome == Outcome(interrupted=True)
    assert bench.paper.getvalue() == "the last words\n"


async def test_a_microphone_has_no_other_end_than_being_stopped() -> None:
    waiting = BlockQueue()
    waiting.put(SECOND)
    outcome, bench = await stopped(transcribe_each_second, live_source(waiting))
    assert outcome == Outcome()
    assert bench.paper.getvalue() == "This is segment 1.\n"


async def test_what_a_microphone_heard_before_the_stop_still_goes_out_and_nothing_after_it() -> None:
    waiting = BlockQueue()
    waiting.put(SECOND)
    async with StubService() as service:
        bench = Bench(service.url, live_source(waiting))
        job = asyncio.create_task(bench.run())
        await asyncio.wait_for(bench.screen.changed.wait(), PATIENCE_S)
        waiting.put(SECOND)
        waiting.put(SECOND)
        bench.stop.set()
        assert await job == [Outcome()]
        waiting.put(SECOND)
    assert len(service.audio) == 3 * len(SECOND)
    assert bench.paper.getvalue().splitlines()[-1] == "This is segment 3."


async def test_a_microphone_whose_last_words_do_not_get_through_after_a_stop_was_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clients.cli.transcription.FINALS_GRACE_S", 0.05)
    monkeypatch.setattr("clients.connecting.CLOSE_TIMEOUT_S", 0.05)

    released = asyncio.Event()

    async def freeze(session: StubSession) -> None:
        await session.open()
        await session.send(error(2))
        session.socket.transport.pause_reading()
        await released.wait()
        session.socket.transport.abort()

    waiting = BlockQueue()
    waiting.put(SECOND)
    for _ in range(200):
        waiting.put(SECOND * 10)
    async with StubService(freeze) as service:
        bench = Bench(service.url, live_source(waiting))
        job = asyncio.create_task(bench.run())
        await asyncio.wait_for(bench.screen.changed.wait(), PATIENCE_S)
        bench.stop.set()
        outcomes = await job
        released.set()
    assert outcomes == [Outcome(interrupted=True)]


@pytest.mark.parametrize("chunks", [endless, pieces(SECOND)], ids=["while sending", "after all was sent"])
async def test_after_a_stop_finals_are_not_awaited_for_ever(
    monkeypatch: pytest.MonkeyPatch, chunks: Callable[[], AsyncGenerator[bytes, None]]
) -> None:
    monkeypatch.setattr("clients.cli.transcription.FINALS_GRACE_S", 0.05)
    outcome, bench = await stopped(never_end, source(chunks))
    assert outcome.interrupted
    assert bench.screen.messages[-1] == "a: the last transcripts did not come in time"


async def test_a_stop_before_any_audio_came_opens_no_session_and_starts_no_other_recording() -> None:
    async with StubService() as service:
        bench = Bench(service.url, source(silent), source(pieces(SECOND)))
        job = asyncio.create_task(bench.run(at_once=1))
        await asyncio.sleep(0)
        bench.stop.set()
        assert await job == [Outcome(interrupted=True), Outcome(interrupted=True)]
        assert service.starts == []


async def test_cancelling_closes_the_document() -> None:
    async with StubService() as service:
        bench = Bench(service.url, source(endless, label="a"), source(endless, label="b"))
        job = asyncio.create_task(bench.run())
        await asyncio.wait_for(bench.screen.changed.wait(), PATIENCE_S)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
    assert bench.paper.getvalue().startswith("==> a <==\n")
    assert bench.paper.getvalue().endswith("\n\n")


async def test_an_output_that_cannot_be_written_stops_everything() -> None:
    async with StubService() as service:
        bench = Bench(service.url, source(pieces(SECOND)), source(endless))

        def full_disk(text: str, /) -> int:
            raise OSError(28, "No space left on device")

        bench.paper.write = full_disk  # type: ignore[method-assign]
        with pytest.raises(OSError, match="No space left"):
            await bench.run()
