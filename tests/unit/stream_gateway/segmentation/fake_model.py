import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stream_gateway.segmentation.speech_model import Floats


class CountingModel:
    """Scores a frame by its first new sample, and counts in the state; notes each batch. `hold` stops it."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.frames: list[Floats] = []
        self.error: Exception | None = None
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()

    def load(self, _path: Path) -> "CountingModel":
        return self

    def run(self, frames: Floats, lengths: Sequence[int], states: Floats) -> tuple[Floats, Floats]:
        self.entered.set()
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error
        self.batches.append(len(lengths))
        self.frames += list(frames)
        seen = np.concatenate([states[0, track, 0] + np.arange(count) for track, count in enumerate(lengths)])
        scores: Floats = (np.round(frames[:, 64] * 32768) + seen / 1000).astype(np.float32)
        return scores, states + np.array(lengths, dtype=np.float32)[:, np.newaxis]
