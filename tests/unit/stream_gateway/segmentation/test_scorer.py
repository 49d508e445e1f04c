import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bus.contract.errors import InternalError
from stream_gateway.segmentation.gate import GateOptions
from stream_gateway.segmentation.scorer import FrameScorer
from tests.unit.stream_gateway.segmentation.fake_model import CountingModel

ALWAYS_OPEN = GateOptions(floor_dbfs=-1000.0)


@asynccontextmanager
async def running(
    model: CountingModel, *, max_batch: int = 16, max_frames: int = 1, gate: GateOptions = ALWAYS_OPEN
) -> AsyncIterator[FrameScorer]:
    scorer = FrameScorer(Path("unused"), max_batch, max_frames=max_frames, gate=gate, load_model=model.load)
    await scorer.start()
    try:
        yield scorer
    finally:
        model.go.set()
        await scorer.aclose()


def frames(*marks: int) -> NDArray[np.int16]:
    """One frame for each mark, filled with it."""
    return np.repeat(np.array(marks, dtype=np.int16), 512)


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


async def test_each_complete_frame_is_scored_in_order_with_the_state_of_the_one_before() -> None:
    async with running(CountingModel()) as scorer:
        track = scorer.open_track()
        assert await track.score(frames(7, 8, 9)) == pytest.approx([7, 8.001, 9.002])
        assert await track.score(frames(5)) == pytest.approx([5.003])


async def test_a_remainder_waits_for_the_rest_of_its_frame() -> None:
    async with running(CountingModel()) as scorer:
        track, audio = scorer.open_track(), frames(7, 8)
        assert await track.score(audio[:100]) == []
        assert await track.score(audio[100:511]) == []
        assert await track.score(audio[511:700]) == pytest.approx([7])
        assert await track.score(audio[700:]) == pytest.approx([8.001])
        assert await track.score(audio[:0]) == []


async def test_a_frame_is_seen_with_the_last_64_samples_before_it() -> None:
    model = CountingModel()
    async with running(model) as scorer:
        audio = np.arange(1024, dtype=np.int16)
        await scorer.open_track().score(audio)
    assert np.array_equal(model.frames[0] * 32768, np.concatenate([np.zeros(64), audio[:512]]))
    assert np.array_equal(model.frames[1] * 32768, audio[448:])


async def test_tracks_that_wait_share_a_run_up_to_the_batch_limit() -> None:
    model = CountingModel()
    async with running(model, max_batch=4) as scorer:
        model.go.clear()
        first = asyncio.create_task(scorer.open_track().score(frames(1)))
        await until(model.entered)
        others = [asyncio.create_task(scorer.open_track().score(frames(mark))) for mark in range(2, 9)]
        await asyncio.sleep(0)
        model.go.set()
        assert await asyncio.gather(first, *others) == [[mark] for mark in range(1, 9)]
    assert model.batches == [1, 4, 3]


async def test_a_long_block_delays_a_live_frame_by_one_round_only() -> None:
    model = CountingModel()
    async with running(model, max_batch=1) as scorer:
        model.go.clear()
        file = asyncio.create_task(scorer.open_track().score(frames(*[1] * 100)))
        await until(model.entered)
        live = asyncio.create_task(scorer.open_track().score(frames(2)))
        await asyncio.sleep(0)
        model.go.set()
        assert await live == [2]
        assert len(await file) == 100
    assert [round(float(frame[64]) * 32768) for frame in model.frames[:4]] == [1, 2, 1, 1]


async def test_frames_that_came_together_share_a_run_in_order() -> None:
    model = CountingModel()
    async with running(model, max_frames=4) as scorer:
        first, second = scorer.open_track(), scorer.open_track()
        model.go.clear()
        scored = [asyncio.create_task(first.score(frames(7, 8, 9))), asyncio.create_task(second.score(frames(1)))]
        await asyncio.sleep(0)
        model.go.set()
        assert await scored[0] == pytest.approx([7, 8.001, 9.002])
        assert await scored[1] == [1]
        assert await second.score(frames(*range(10))) == pytest.approx([mark + (mark + 1) / 1000 for mark in range(10)])
    assert len(model.batches) <= 2 + 3


@pytest.mark.parametrize("max_frames", [2, 3, 4, 8])
async def test_the_gate_hears_of_every_score_before_it_closes(max_frames: int) -> None:
    """Silent frames that the model scores high keep it open, however many share a run."""
    model = CountingModel()
    gate = GateOptions(floor_dbfs=-60.0, settle_frames=2, settled_score=0.0015)
    async with running(model, max_frames=max_frames, gate=gate) as scorer:
        scores = await scorer.open_track().score(frames(1000, 1000, 1000, *[0] * 9))
    assert scores == pytest.approx([1000, 1000.001, 1000.002, *[n / 1000 for n in range(3, 12)]])
    async with running(model, max_frames=max_frames, gate=GateOptions(floor_dbfs=-60.0, settle_frames=2)) as scorer:
        assert await scorer.open_track().score(frames(*[0] * 9, 500)) == pytest.approx([0, 0.001, *[0] * 7, 500.002])


async def test_silence_costs_no_run_of_the_model_once_it_has_settled() -> None:
    model = CountingModel()
    async with running(model, gate=GateOptions(floor_dbfs=-60.0, settle_frames=2, settled_score=5.0)) as scorer:
        track = scorer.open_track()
        scores = await track.score(frames(0, 0, 0, 0, 1000, 0))
        assert scores == pytest.approx([0, 0.001, 0, 0, 1000.002, 0.003])
        assert await track.score(frames(0, 0, 0)) == pytest.approx([0.004, 0, 0])
    assert np.all(model.frames[3][:64] * 32768 == 1000)


async def test_what_a_cancelled_call_handed_in_is_returned_by_the_next_one() -> None:
    model = CountingModel()
    async with running(model) as scorer:
        track = scorer.open_track()
        model.go.clear()
        cancelled = asyncio.create_task(track.score(frames(1, 2)))
        await until(model.entered)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        following = asyncio.create_task(track.score(frames(3)))
        await asyncio.sleep(0)
        model.go.set()
        assert await following == pytest.approx([1, 2.001, 3.002])


async def test_scores_that_nobody_waited_for_are_not_lost() -> None:
    model = CountingModel()
    async with running(model) as scorer:
        track = scorer.open_track()
        model.go.clear()
        cancelled = asyncio.create_task(track.score(frames(1)))
        await until(model.entered)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        model.go.set()
        await scorer.open_track().score(frames(9))
        assert await track.score(frames()) == [1]


async def test_two_calls_at_once_on_one_track_are_refused() -> None:
    model = CountingModel()
    async with running(model) as scorer:
        track = scorer.open_track()
        model.go.clear()
        first = asyncio.create_task(track.score(frames(1)))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one score"):
            await track.score(frames(2))
        model.go.set()
        assert await first == [1]


async def test_a_closed_track_is_scored_no_further_and_refuses_more() -> None:
    model = CountingModel()
    async with running(model) as scorer:
        track = scorer.open_track()
        model.go.clear()
        waiting = asyncio.create_task(track.score(frames(*[1] * 50)))
        await until(model.entered)
        track.close()
        track.close()
        model.go.set()
        assert await waiting == [1]
        with pytest.raises(InternalError):
            await track.score(frames(1))
    assert model.batches == [1]


async def test_a_track_that_is_closed_before_its_turn_is_not_scored() -> None:
    model = CountingModel()
    async with running(model, max_batch=1) as scorer:
        model.go.clear()
        first = asyncio.create_task(scorer.open_track().score(frames(1)))
        await until(model.entered)
        track = scorer.open_track()
        waiting = asyncio.create_task(track.score(frames(2)))
        await asyncio.sleep(0)
        track.close()
        model.go.set()
        assert await waiting == []
        assert await first == [1]
        assert await scorer.open_track().score(frames(3)) == [3]
    assert model.batches == [1, 1]


async def test_what_arrives_while_a_track_is_scored_follows_without_a_gap() -> None:
    model = CountingModel()
    async with running(model) as scorer:
        track = scorer.open_track()
        model.go.clear()
        cancelled = asyncio.create_task(track.score(frames(1)[:500]))
        await asyncio.sleep(0)
        cancelled = asyncio.create_task(track.score(frames(1)))
        await until(model.entered)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        following = asyncio.create_task(track.score(frames(2, 2)))
        await asyncio.sleep(0)
        model.go.set()
        assert await following == pytest.approx([1, 1.001, 2.002])
        assert await track.score(frames(3)[:12]) == pytest.approx([2.003])


async def test_a_failing_model_fails_the_tracks_of_that_run_and_no_others() -> None:
    model = CountingModel()
    async with running(model) as scorer:
        model.error = ValueError("broken")
        with pytest.raises(InternalError, match="could not be scored"):
            await scorer.open_track().score(frames(1))
        model.error = None
        assert await scorer.open_track().score(frames(2)) == [2]


async def test_closing_the_scorer_fails_who_waits_and_stops_the_thread() -> None:
    model = CountingModel()
    async with running(model, max_batch=1) as scorer:
        model.go.clear()
        in_run = asyncio.create_task(scorer.open_track().score(frames(1)))
        await until(model.entered)
        in_line = asyncio.create_task(scorer.open_track().score(frames(1)))
        await asyncio.sleep(0)
        closing = asyncio.create_task(scorer.aclose())
        await asyncio.sleep(0)
        model.go.set()
        await closing
        assert await in_run == [1]
        with pytest.raises(InternalError, match="closed"):
            await in_line
        with pytest.raises(InternalError, match="closed"):
            await scorer.open_track().score(frames(1))
    assert not any(thread.name == "frame-scorer" for thread in threading.enumerate())


async def test_a_scorer_that_was_never_started_can_be_closed() -> None:
    await FrameScorer(Path("unused")).aclose()


async def test_fifty_tracks_at_once_each_get_their_own_scores() -> None:
    model = CountingModel()
    async with running(model) as scorer:
        tracks = [scorer.open_track() for _ in range(50)]
        for turn in range(3):
            answers = await asyncio.gather(*[track.score(frames(mark + 1)) for mark, track in enumerate(tracks)])
            assert [answer[0] for answer in answers] == pytest.approx([mark + 1 + turn / 1000 for mark in range(50)])


async def test_what_was_scored_and_how_long_it_was_waited_for_is_told_since_the_last_time() -> None:
    async with running(CountingModel()) as scorer:
        one, other = scorer.open_track(), scorer.open_track()
        await one.score(frames(7)[:100])
        assert scorer.take_load() == (0.0, 100 / 16_000), "no frame is complete, so nothing is waited for"
        await asyncio.gather(one.score(frames(7)), other.score(frames(8, 9)))
        waited_s, scored_s = scorer.take_load()
        assert scored_s == pytest.approx((512 + 1024) / 16_000)
        assert waited_s > 0
        assert scorer.take_load() == (0.0, 0.0)
