"""Loudness of every 32 ms of audio, in place of speech scores where a client says itself when its speech ends."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from stream_gateway.segmentation.segmenter import FRAME_SAMPLES

_EVERY = 8
"""One sample of so many is looked at: enough to tell loud from quiet, and a quarter of the work."""
_SEEN = FRAME_SAMPLES // _EVERY


class LevelTrack:
    """The frames of one channel, in order; what a `ScoringTrack` is with speech detection."""

    def __init__(self) -> None:
        self._rest = np.empty(0, dtype=np.int16)

    async def score(self, samples: NDArray[np.int16]) -> list[float]:
        """RMS, 0 to 1, of each frame that `samples` (16 kHz) complete; the remainder is kept. Never waits."""
        audio = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        whole = len(audio) - len(audio) % FRAME_SAMPLES
        self._rest = audio[whole:].copy()
        frames = audio[:whole:_EVERY].astype(np.float32).reshape(-1, _SEEN)
        powers: list[float] = np.einsum("ij,ij->i", frames, frames).tolist()
        return [sqrt(power / _SEEN) / 32768 for power in powers]

    def close(self) -> None:
        """Nothing to free."""
