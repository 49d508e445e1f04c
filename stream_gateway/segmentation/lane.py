"""One track as the scorer sees it, and one run of the speech model over some of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

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


def score_next_frames(model: SpeechModel, lanes: Sequence[Lane]) -> list[float]:
    """Score the next frame of each lane, all of which have one, in one run of the model.

    A frame that the gate stops has the score 0 and no part in the run. Raises what the model raises.
    """
    samples = np.empty((len(lanes), _WINDOW_SAMPLES), dtype=np.int16)
    for row, lane in enumerate(lanes):
        samples[row] = lane.audio[lane.at : lane.at + _WINDOW_SAMPLES]
        lane.at += FRAME_SAMPLES
    windows = samples.astype(np.float32)
    windows *= np.float32(1 / 32768)
    frames = windows[:, CONTEXT_SAMPLES:]
    levels_dbfs = 10 * np.log10(np.einsum("ij,ij->i", frames, frames) / FRAME_SAMPLES + 1e-12)
    rows = [row for row, level in enumerate(levels_dbfs.tolist()) if lanes[row].gate.admits(level)]
    scores = [0.0] * len(lanes)
    if not rows:
        return scores
    admitted = [lanes[row] for row in rows]
    if len(rows) < len(lanes):
        windows = windows[rows]
    values, states = model.run(windows, np.stack([lane.state for lane in admitted], axis=1))
    for index, (row, lane, value) in enumerate(zip(rows, admitted, values.tolist(), strict=True)):
        scores[row] = value
        lane.state = states[:, index].copy()  # a view would keep the states of the whole batch alive
        lane.gate.on_score(value)
    return scores
