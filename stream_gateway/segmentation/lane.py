"""One track as the scorer sees it, and one run of the speech model over some of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from stream_gateway.segmentation.gate import EnergyGate
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES
from stream_gateway.segmentation.speech_model import CONTEXT_SAMPLES, STATE_SHAPE, Floats, SpeechModel

_WINDOW_SAMPLES = CONTEXT_SAMPLES + FRAME_SAMPLES
_SAMPLE_BYTES = 2


@dataclass(slots=True, eq=False)
class Lane:
    """The scorer's lock guards the first half; the second is its thread's while `is_queued`."""

    inbox: list[NDArray[np.int16]] = field(default_factory=list)
    inbox_samples: int = 0
    scores: list[float] = field(default_factory=list)
    waiter: asyncio.Future[None] | None = None
    is_queued: bool = False
    is_closed: bool = False

    gate: EnergyGate = field(default_factory=EnergyGate)
    audio: bytes = bytes(_SAMPLE_BYTES * CONTEXT_SAMPLES)
    """16-bit samples, from number `at` on: the end of the last frame, then what is not scored yet. No array, because
    numpy lets go of the interpreter's lock for each copy, and the event loop is slow to give it back when busy."""
    at: int = 0
    state: Floats = field(default_factory=lambda: np.zeros(STATE_SHAPE, dtype=np.float32))

    @property
    def has_frame(self) -> bool:
        """Whether a frame is complete, what is in the inbox included."""
        return self._samples + self.inbox_samples >= _WINDOW_SAMPLES

    def pull_inbox(self) -> None:
        """Take what was handed in; what is scored goes, so that a remainder does not keep its block in memory."""
        if self.inbox or self.at:
            self.audio = b"".join([self.audio[_SAMPLE_BYTES * self.at :], *(block.data for block in self.inbox)])
            self.at = self.inbox_samples = 0
            self.inbox.clear()

    def windows(self, most: int) -> list[bytes]:
        """What the model would see of the next frames, up to `most`."""
        frames = min(most, (self._samples - CONTEXT_SAMPLES) // FRAME_SAMPLES)
        starts = range(self.at, self.at + frames * FRAME_SAMPLES, FRAME_SAMPLES)
        return [self.audio[_SAMPLE_BYTES * start : _SAMPLE_BYTES * (start + _WINDOW_SAMPLES)] for start in starts]

    def take_frames(self, levels_dbfs: Sequence[float]) -> tuple[int, int]:
        """Move on by frames of these levels: frames that the gate stops, then frames to score; how many of each.

        The gate goes by the scores of the frames before: it is asked again in the next round about the first one that
        it stops after others.
        """
        stopped = count = 0
        for level_dbfs in levels_dbfs:
            if self.gate.admits(level_dbfs):
                count += 1
            elif count:
                break
            else:
                stopped += 1
        self.at += (stopped + count) * FRAME_SAMPLES
        return stopped, count

    @property
    def _samples(self) -> int:
        return len(self.audio) // _SAMPLE_BYTES - self.at


def score_next_frames(model: SpeechModel, lanes: Sequence[Lane], most: int) -> list[list[float]]:
    """Score up to `most` frames of each lane, in one run of the model.

    A frame that the gate stops has the score 0 and no part in the run. Raises what the model raises.
    """
    pieces = [lane.windows(most) for lane in lanes]
    samples = np.frombuffer(b"".join(chain.from_iterable(pieces)), dtype=np.int16).reshape(-1, _WINDOW_SAMPLES)
    windows = samples.astype(np.float32)
    windows *= np.float32(1 / 32768)
    levels = iter(_levels_dbfs(windows))
    scores: list[list[float]] = []
    rows: list[int] = []  # of `windows`, that are scored
    admitted: list[tuple[int, int]] = []  # lanes and how many of the rows are theirs
    row = 0
    for number, (lane, mine) in enumerate(zip(lanes, pieces, strict=True)):
        stopped, count = lane.take_frames(list(islice(levels, len(mine))))
        scores.append([0.0] * stopped)
        if count:
            rows += range(row + stopped, row + stopped + count)
            admitted.append((number, count))
        row += len(mine)
    if not admitted:
        return scores
    if len(rows) < len(windows):
        windows = windows[rows]
    states = np.stack([lanes[number].state for number, _ in admitted], axis=1)
    values, next_states = model.run(windows, [count for _, count in admitted], states)
    rest = iter(values.tolist())
    for place, (number, count) in enumerate(admitted):
        lane = lanes[number]
        lane.state = next_states[:, place].copy()  # a view would keep the states of the whole batch alive
        for value in islice(rest, count):
            scores[number].append(value)
            lane.gate.on_score(value)
    return scores


def _levels_dbfs(windows: Floats) -> list[float]:
    """RMS of the frame at the end of each window."""
    frames = windows[:, CONTEXT_SAMPLES:]
    powers = np.einsum("ij,ij->i", frames, frames) / FRAME_SAMPLES
    levels: list[float] = (10 * np.log10(powers + 1e-12)).tolist()
    return levels
