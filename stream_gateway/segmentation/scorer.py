"""Speech probability of every 32 ms of audio: one model and one thread for all sessions of a process.

The thread works in rounds. A round takes the next frame of each waiting track, up to `max_batch` of them, and runs
the model once; tracks with more audio go to the end of the line. So a file sent in one piece delays live speech by no
more than a round, and a lone live track is scored at once: nothing waits for a batch to fill.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log10
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bus.contract.errors import InternalError
from stream_gateway.segmentation.gate import EnergyGate, GateOptions
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES
from stream_gateway.segmentation.speech_model import CONTEXT_SAMPLES, STATE_SHAPE, Floats, SileroModel, SpeechModel

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Lane:
    """One track as the scorer sees it. The lock guards the first half; the second is the thread's while `is_queued`."""

    inbox: list[NDArray[np.int16]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    waiter: asyncio.Future[None] | None = None
    is_queued: bool = False
    is_closed: bool = False

    gate: EnergyGate = field(default_factory=EnergyGate)
    audio: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, dtype=np.int16))
    context: Floats = field(default_factory=lambda: np.zeros(CONTEXT_SAMPLES, dtype=np.float32))
    state: Floats = field(default_factory=lambda: np.zeros(STATE_SHAPE, dtype=np.float32))

    def pull_inbox(self) -> None:
        if self.inbox:
            self.audio = np.concatenate([self.audio, *self.inbox])
            self.inbox.clear()

    def next_window(self, scores: list[float]) -> Floats | None:
        """Context and frame to score next; frames that the gate stops get their 0 in `scores` on the way."""
        while len(self.audio) >= FRAME_SAMPLES:
            frame = self.audio[:FRAME_SAMPLES].astype(np.float32) / np.float32(32768)
            self.audio = self.audio[FRAME_SAMPLES:]
            window: Floats = np.concatenate([self.context, frame])
            self.context = frame[-CONTEXT_SAMPLES:]
            if self.gate.admits(10 * log10(float(np.dot(frame, frame)) / FRAME_SAMPLES + 1e-12)):
                return window
            scores.append(0.0)
        return None


class FrameScorer:
    """Owner of the model and its thread. `start` first, `aclose` last, from one event loop; tracks in between."""

    def __init__(
        self,
        model_path: Path,
        max_batch: int = 16,
        *,
        gate: GateOptions | None = None,
        load_model: Callable[[Path], SpeechModel] = SileroModel,
    ) -> None:
        """`max_batch`: tracks per run of the model. Beyond 16 a frame costs hardly less and a round takes longer."""
        self._model_path = model_path
        self._max_batch = max_batch
        self._gate = gate
        self._load_model = load_model
        self._thread: threading.Thread | None = None
        # Guards `_waiting`, `_is_running` and the first half of every lane. A lane is in `_waiting` at most once.
        self._changed = threading.Condition()
        self._waiting: deque[_Lane] = deque()
        self._is_running = False

    async def start(self) -> None:
        """Load the model off the loop and start the thread. Raises ValueError for a file that is no such model."""
        model = await asyncio.to_thread(self._load_model, self._model_path)
        self._is_running = True
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, args=(model, loop), name="frame-scorer", daemon=True)
        self._thread.start()

    async def aclose(self) -> None:
        """Stop the thread after the run in progress. score() calls that wait raise InternalError. Idempotent."""
        with self._changed:
            self._is_running = False
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def open_track(self) -> "ScoringTrack":
        """A new track, at silence. Costs no time while it is not fed."""
        return ScoringTrack(self, _Lane(gate=EnergyGate(self._gate)))

    def submit(self, lane: _Lane, samples: NDArray[np.int16], waiter: asyncio.Future[None]) -> bool:
        """Queue samples of `lane`; `waiter` is resolved when all its complete frames are scored. For ScoringTrack.

        False if that is the case already: no frame is complete yet.
        """
        with self._changed:
            if not self._is_running or lane.is_closed:
                raise InternalError("the frame scorer or this track of it is closed")
            if lane.waiter is not None and not lane.waiter.done():
                raise RuntimeError("one score() at a time per track")
            lane.inbox.append(samples)
            if not lane.is_queued:
                if len(lane.audio) + sum(map(len, lane.inbox)) < FRAME_SAMPLES:
                    return False  # worth a test: waking the thread costs as much as scoring a frame
                lane.is_queued = True
                self._waiting.append(lane)
                self._changed.notify()
            lane.waiter = waiter
            return True

    def take_scores(self, lane: _Lane) -> list[float]:
        """Scores of `lane` not taken before. For ScoringTrack."""
        with self._changed:
            scores, lane.scores = lane.scores, []
            return scores

    def discard(self, lane: _Lane) -> None:
        """Score no more of `lane`. For ScoringTrack."""
        with self._changed:
            lane.is_closed = True
            lane.inbox.clear()

    def _work(self, model: SpeechModel, loop: asyncio.AbstractEventLoop) -> None:
        while lanes := self._next_lanes():
            fresh: list[list[float]] = [[] for _ in lanes]
            error: Exception | None = None
            try:
                _score_round(model, lanes, fresh)
            except Exception as failure:
                log.exception("speech model failed", extra={"tracks": len(lanes)})
                error = InternalError("speech could not be scored")
                error.__cause__ = failure
            self._settle(lanes, fresh, error, loop)
        with self._changed:
            abandoned = [lane.waiter for lane in self._waiting if lane.waiter is not None]
            self._waiting.clear()
        loop.call_soon_threadsafe(_resolve, abandoned, InternalError("the frame scorer was closed"))

    def _next_lanes(self) -> list[_Lane]:
        """Wait for work; empty when the scorer closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._is_running)
            if not self._is_running:
                return []
            lanes = [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]
            for lane in lanes:
                lane.pull_inbox()
            return lanes

    def _settle(
        self,
        lanes: Sequence[_Lane],
        fresh: Sequence[list[float]],
        error: Exception | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Publish the scores of a round; lanes with more audio queue again, the others wake their callers."""
        finished: list[asyncio.Future[None]] = []
        with self._changed:
            for lane, scores in zip(lanes, fresh, strict=True):
                lane.scores += scores
                has_more = len(lane.audio) >= FRAME_SAMPLES or lane.inbox
                if has_more and error is None and not lane.is_closed:
                    self._waiting.append(lane)
                    continue
                lane.is_queued = False
                lane.audio = lane.audio.copy()  # a remainder must not keep its whole block in memory
                assert lane.waiter is not None  # submit() sets it with is_queued
                finished.append(lane.waiter)
        if finished:
            loop.call_soon_threadsafe(_resolve, finished, error)


class ScoringTrack:
    """The frames of one channel, in order. One score() at a time."""

    def __init__(self, scorer: FrameScorer, lane: _Lane) -> None:
        self._scorer = scorer
        self._lane = lane

    async def score(self, samples: NDArray[np.int16]) -> list[float]:
        """Speech probability of each 512-sample frame that `samples` (16 kHz) complete; the remainder is kept.

        Do not change `samples` before this returns. Cancel-safe: what was handed in is scored all the same, and the
        next call returns those scores first. Raises InternalError if the scorer is closed or the model failed; the
        track is of no more use then.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._scorer.submit(self._lane, samples, waiter):
            await waiter
        return self._scorer.take_scores(self._lane)

    def close(self) -> None:
        """Score no more. Idempotent, never blocks; a score() that still waits returns with what there is."""
        self._scorer.discard(self._lane)


def _score_round(model: SpeechModel, lanes: Sequence[_Lane], fresh: Sequence[list[float]]) -> None:
    windows = [lane.next_window(scores) for lane, scores in zip(lanes, fresh, strict=True)]
    batch = [(lane, scores, w) for lane, scores, w in zip(lanes, fresh, windows, strict=True) if w is not None]
    if not batch:
        return
    frames = np.stack([window for _, _, window in batch])
    values, states = model.run(frames, np.stack([lane.state for lane, _, _ in batch], axis=1))
    for index, (lane, scores, _) in enumerate(batch):
        value = float(values[index])
        scores.append(value)
        lane.state = states[:, index].copy()  # a view would keep the states of the whole batch alive
        lane.gate.on_score(value)


def _resolve(waiters: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for waiter in waiters:
        if waiter.done():  # its score() was cancelled
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
