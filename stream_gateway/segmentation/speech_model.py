"""Silero VAD (16 kHz, opset 15 export) on one CPU thread. Blocking."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from stream_gateway.segmentation.segmenter import FRAME_SAMPLES
from stream_gateway.segmentation.silero_graph import dense_model

CONTEXT_SAMPLES = 64
"""The model sees this much of the previous frame before each frame."""
STATE_SHAPE = (2, 128)

Floats = NDArray[np.float32]


class SpeechModel(Protocol):
    """Scores some frames of each of several tracks."""

    def run(self, frames: Floats, lengths: Sequence[int], states: Floats) -> tuple[Floats, Floats]:
        """Score `lengths[i]` frames, one or more, of track i in order. Blocking.

        `frames` [m, 576] in -1 to 1: those of the first track, then those of the second; `states` [2, n, 128].
        Gives m scores in the order of the frames, and the next states.
        """


class SileroModel:
    """The real model. A batch gives each track what it would get alone, to a float32 digit or two."""

    def __init__(self, path: Path) -> None:
        """Load and run once. Raises ValueError if the file is not that model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # the arena keeps the largest batch ever seen; it buys no speed here
        try:
            graph = dense_model(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path} is not Silero VAD for 16 kHz: {error}") from error
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        frame = np.zeros((1, CONTEXT_SAMPLES + FRAME_SAMPLES), dtype=np.float32)
        self.run(frame, [1], np.zeros((STATE_SHAPE[0], 1, STATE_SHAPE[1]), dtype=np.float32))

    def run(self, frames: Floats, lengths: Sequence[int], states: Floats) -> tuple[Floats, Floats]:
        """See `SpeechModel`."""
        counts = np.array(lengths, dtype=np.int32)
        steps = np.arange(counts.max())
        is_frame = steps < counts[:, np.newaxis]  # [n, t]
        places = np.zeros(is_frame.shape, dtype=np.int64)
        places[is_frame] = np.arange(len(frames))
        inputs = {
            "input": frames,
            "places": np.ascontiguousarray(places.T),
            "lengths": counts,
            "state": states,
        }
        scores, next_states = self._session.run(["output", "stateN"], inputs)
        return scores.reshape(places.T.shape).T[is_frame], next_states
