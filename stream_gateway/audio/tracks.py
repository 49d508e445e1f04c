"""Frames of any rate and channel count to the 16 kHz tracks that the rest of the gateway works on."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_gateway.audio.formats import Frames, mix, to_int16
from stream_gateway.audio.resample import Resampler

Tracks: TypeAlias = list[NDArray[np.int16]]
"""One array of 16 kHz samples per track; all are equally long, and may be empty."""


class TrackConverter:
    """One stream of one rate: mixed to one track, or each channel its own."""

    def __init__(self, rate_hz: int, channels: int, *, separate: bool) -> None:
        self._is_mixed = not separate
        self._resampler = Resampler(rate_hz, channels if separate else 1)

    def feed(self, frames: Frames) -> Tracks:
        """What is ready at 16 kHz. The chunking of the input does not change the whole of the output."""
        return split(to_int16(self._resampler.feed(mix(frames) if self._is_mixed else frames)))

    def finish(self) -> Tracks:
        """The rest. Call it once, last."""
        return split(to_int16(self._resampler.finish()))


def split(samples: NDArray[np.int16]) -> Tracks:
    """Each channel of [samples, channels] on its own."""
    if samples.shape[1] == 1:
        return [samples.reshape(-1)]
    return [np.ascontiguousarray(samples[:, channel]) for channel in range(samples.shape[1])]


def join(blocks: list[Tracks], tracks: int) -> Tracks:
    """Consecutive blocks as one."""
    return [
        np.concatenate([block[track] for block in blocks]) if blocks else np.empty(0, dtype=np.int16)
        for track in range(tracks)
    ]
