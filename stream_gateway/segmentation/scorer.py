"""Speech probability of every 32 ms of audio: one model and one thread for all sessions of a process.

The thread works in rounds. A round takes the next frames of each lane in line, up to `max_batch` lanes, and runs the
model once; lanes with more audio go to the end of the line. So a file sent in one piece delays live speech by no more
than a round. Lanes that bring audio gather before they join the line, for as long as `Pacing` has it: not at all where
few speak, a few milliseconds where many do.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bus.contract.errors import InternalError
from bus.contract.work import SAMPLE_RATE_HZ
from stream_gateway.segmentation.gate import EnergyGate, GateOptions
from stream_gateway.segmentation.lane import Lane, score_next_frames
from stream_gateway.segmentation.pacing import Pacing
from stream_gateway.segmentation.speech_model import SileroModel, SpeechModel

log = logging.getLogger(__name__)


class FrameScorer:
    """Owner of the model and its thread. `start` first, `aclose` last, from one event loop; tracks in between."""

    def __init__(
        self,
        model_path: Path,
        max_batch: int = 64,
        *,
        max_frames: int = 4,
        gate: GateOptions | None = None,
        load_model: Callable[[Path], SpeechModel] = SileroModel,
    ) -> None:
        """`max_batch`: tracks per run of the model. Beyond 32 a frame costs no less and a round takes longer.

        `max_frames`: frames of a track per run; 100 ms of audio complete three or four.
        """
        self._model_path = model_path
        self._max_batch = max_batch
        self._max_frames = max_frames
        self._gate = gate
        self._load_model = load_model
        self._thread: threading.Thread | None = None
        # Guards what follows and the first half of every lane. A lane is in one of the two queues at most once.
        self._changed = threading.Condition()
        self._gathering: list[Lane] = []
        self._gather_until = 0.0
        self._line: deque[Lane] = deque()
        self._pacing = Pacing()
        self._is_running = False
        self._waited_s, self._scored_s = 0.0, 0.0

    async def start(self) -> None:
        """Load the model off the loop and start the thread. Raises ValueError for a file that is no such model."""
        model = await asyncio.to_thread(self._load_model, self._model_path)
        self._is_running = True
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, args=(model, loop), name="frame-scorer", daemon=True)
        self._thread.start()

    def take_load(self) -> tuple[float, float]:
        """What callers waited, and the audio that was scored for it on all tracks, since the last call. Seconds.

        Where the first is more than the second, audio falls behind.
        """
        load = self._waited_s, self._scored_s
        self._waited_s, self._scored_s = 0.0, 0.0
        return load

    def on_scored(self, samples: int, waited_s: float) -> None:
        """A caller has the scores of so many samples."""
        self._waited_s += waited_s
        self._scored_s += samples / SAMPLE_RATE_HZ

    async def aclose(self) -> None:
        """Stop the thread after the run in progress. score() calls that wait raise InternalError. Idempotent."""
        with self._changed:
            self._is_running = False
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def open_track(self) -> "ScoringTrack":
        """A new track, at silence. Costs no time while it is not fed."""
        return ScoringTrack(self, Lane(gate=EnergyGate(self._gate)))

    def submit(self, lane: Lane, samples: NDArray[np.int16], waiter: asyncio.Future[None]) -> bool:
        """Queue samples of `lane`; `waiter` is resolved when all its complete frames are scored. For ScoringTrack.

        False if that is the case already: no frame is complete yet.
        """
        with self._changed:
            if not self._is_running or lane.is_closed:
                raise InternalError("the frame scorer or this track of it is closed")
            if lane.waiter is not None and not lane.waiter.done():
                raise RuntimeError("one score() at a time per track")
            lane.inbox.append(samples)
            lane.inbox_samples += len(samples)
            if not lane.is_queued:
                if not lane.has_frame:
                    return False  # worth a test: waking the thread costs as much as scoring a frame
                lane.is_queued = True
                self._gather(lane)
            lane.waiter = waiter
            return True

    def take_scores(self, lane: Lane) -> list[float]:
        """Scores of `lane` not taken before. For ScoringTrack."""
        with self._changed:
            scores, lane.scores = lane.scores, []
            return scores

    def discard(self, lane: Lane) -> None:
        """Score no more of `lane`. For ScoringTrack."""
        with self._changed:
            lane.is_closed = True
            lane.inbox.clear()
            lane.inbox_samples = 0
            if lane in self._gathering:  # it has no frame any more: the thread must not see it
                self._gathering.remove(lane)
                lane.is_queued = False
                assert lane.waiter is not None  # submit() sets it with is_queued
                _resolve([lane.waiter], None)

    def _gather(self, lane: Lane) -> None:
        now = time.monotonic()
        self._pacing.on_arrival(now)
        if not self._gathering:
            self._gather_until = now + self._pacing.wait_s
        self._gathering.append(lane)
        if len(self._gathering) in (1, self._max_batch):  # at no other count does it change when the thread goes on
            self._changed.notify()

    def _work(self, model: SpeechModel, loop: asyncio.AbstractEventLoop) -> None:
        while lanes := self._next_lanes():
            scores: list[list[float]] = [[] for _ in lanes]
            error: Exception | None = None
            try:
                scores = score_next_frames(model, lanes, self._max_frames)
            except Exception as failure:
                log.exception("speech model failed", extra={"tracks": len(lanes)})
                error = InternalError("speech could not be scored")
                error.__cause__ = failure
            self._settle(lanes, scores, error, loop)
        with self._changed:
            abandoned = [lane.waiter for lane in (*self._line, *self._gathering) if lane.waiter is not None]
            self._line.clear()
            self._gathering.clear()
        loop.call_soon_threadsafe(_resolve, abandoned, InternalError("the frame scorer was closed"))

    def _next_lanes(self) -> list[Lane]:
        """Wait for work; empty when the scorer closes."""
        with self._changed:
            while self._is_running:
                wait_s = self._end_gathering(time.monotonic())
                if self._line:
                    return [self._line.popleft() for _ in range(min(self._max_batch, len(self._line)))]
                self._changed.wait(wait_s)
            return []

    def _end_gathering(self, now: float) -> float | None:
        """Put who gathered in line if it is time; else tell how long it takes, None without end."""
        if not self._gathering:
            return None
        if now < self._gather_until and len(self._gathering) < self._max_batch:
            return self._gather_until - now
        for lane in self._gathering:
            lane.pull_inbox()
        self._line += self._gathering
        self._gathering.clear()
        return None

    def _settle(
        self,
        lanes: Sequence[Lane],
        scores: Sequence[Sequence[float]],
        error: Exception | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Publish the scores of a round; lanes with more audio queue again, the others wake their callers."""
        finished: list[asyncio.Future[None]] = []
        with self._changed:
            self._end_gathering(time.monotonic())  # before those that had their turn
            for lane, fresh in zip(lanes, scores, strict=True):
                lane.scores += fresh
                if lane.has_frame and error is None and not lane.is_closed:
                    if lane.inbox:
                        lane.pull_inbox()
                    self._line.append(lane)
                    continue
                lane.is_queued = False
                lane.pull_inbox()
                assert lane.waiter is not None  # submit() sets it with is_queued
                finished.append(lane.waiter)
        if finished:
            loop.call_soon_threadsafe(_resolve, finished, error)


class ScoringTrack:
    """The frames of one channel, in order. One score() at a time."""

    def __init__(self, scorer: FrameScorer, lane: Lane) -> None:
        self._scorer = scorer
        self._lane = lane

    async def score(self, samples: NDArray[np.int16]) -> list[float]:
        """Speech probability of each 512-sample frame that `samples` (16 kHz) complete; the remainder is kept.

        Do not change `samples` before this returns. Cancel-safe: what was handed in is scored all the same, and the
        next call returns those scores first. Raises InternalError if the scorer is closed or the model failed; the
        track is of no more use then.
        """
        began_at = time.monotonic()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waited_s = 0.0
        if self._scorer.submit(self._lane, samples, waiter):
            await waiter
            waited_s = time.monotonic() - began_at
        self._scorer.on_scored(len(samples), waited_s)
        return self._scorer.take_scores(self._lane)

    def close(self) -> None:
        """Score no more. Idempotent, never blocks; a score() that still waits returns with what there is."""
        self._scorer.discard(self._lane)


def _resolve(waiters: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for waiter in waiters:
        if waiter.done():  # its score() was cancelled
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
