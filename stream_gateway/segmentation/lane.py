"""One track as the scorer sees it, and one run of the speech model over some of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import log10

import numpy as np
from numpy.typing import NDArray

from stream_gateway.segmentation.gate import EnergyGate
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES
from stream_gateway.segmentation.speech_model import CONTEXT_SAMPLES, STATE_SHAPE, Floats, SpeechModel

_WINDOW_SAMPLES = CONTEXT_SAMPLES + FRAME_SAMPLES


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
    audio: NDArray[np.int16] = field(default_factory=lambda: np.zeros(CONTEXT_SAMPLES, dtype=np.int16))
    """From `at` on: the end of the last frame, then what is not scored yet."""
    at: int = 0
    state: Floats = field(default_factory=lambda: np.zeros(STATE_SHAPE, dtype=np.float32))

    @property
    def has_frame(self) -> bool:
        """Whether a frame is complete, what is in the inbox included."""
        return len(self.audio) - self.at + self.inbox_samples >= _WINDOW_SAMPLES

    def pull_inbox(self) -> None:
        """Take what was handed in; what is scored goes, so that a remainder does not keep its block in memory."""
        if self.inbox or self.at:
            self.audio = np.concatenate([self.audio[self.at :], *self.inbox])
            self.at = self.inbox_samples = 0
            self.inbox.clear()

    def level_dbfs(self, first: int) -> float:
        """RMS of the frame whose window begins at `first`."""
        frame = self.audio[first + CONTEXT_SAMPLES : first + _WINDOW_SAMPLES].astype(np.float32)
        return 10 * log10(float(np.dot(frame, frame)) / (FRAME_SAMPLES * 32768.0**2) + 1e-12)

    def take_frames(self, most: int) -> tuple[int, int, int]:
        """Move on by up to `most` frames: frames that the gate stops, then where the rest begins and how many it is.

        The gate goes by the scores of the frames before: it is asked again in the next round about the first one that
        it stops after others.
        """
        stopped = count = 0
        while stopped + count < most and self.at + _WINDOW_SAMPLES <= len(self.audio):
            if self.gate.admits(self.level_dbfs(self.at)):
                count += 1
            elif count:
                break
            else:
                stopped += 1
            self.at += FRAME_SAMPLES
        return stopped, self.at - count * FRAME_SAMPLES, count


def score_next_frames(model: SpeechModel, lanes: Sequence[Lane], most: int) -> list[list[float]]:
    """Score up to `most` frames of each lane, in one run of the model.

    A frame that the gate stops has the score 0 and no part in the run. Raises what the model raises.
    """
    taken = [lane.take_frames(most) for lane in lanes]
    scores = [[0.0] * stopped for stopped, _, _ in taken]
    admitted = [(row, first, count) for row, (_, first, count) in enumerate(taken) if count]
    if not admitted:
        return scores
    lengths = [count for _, _, count in admitted]
    samples = np.empty((sum(lengths), _WINDOW_SAMPLES), dtype=np.int16)
    row_at = 0
    for row, first, count in admitted:
        for start in range(first, first + count * FRAME_SAMPLES, FRAME_SAMPLES):
            samples[row_at] = lanes[row].audio[start : start + _WINDOW_SAMPLES]
            row_at += 1
    windows = samples.astype(np.float32)
    windows *= np.float32(1 / 32768)
    values, states = model.run(windows, lengths, np.stack([lanes[row].state for row, _, _ in admitted], axis=1))
    rest = iter(values.tolist())
    for index, (row, _, count) in enumerate(admitted):
        lane = lanes[row]
        lane.state = states[:, index].copy()  # a view would keep the states of the whole batch alive
        for value in islice(rest, count):
            scores[row].append(value)
            lane.gate.on_score(value)
    return scores
