"""Any sample rate to 16 kHz, as a stream."""

import numpy as np
import soxr

from stream_gateway.audio.formats import Frames

OUTPUT_RATE_HZ = 16_000


class Resampler:
    """One stream. The chunking of the input changes no sample of the output, nor how many there are in the end."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._channels = channels
        # In float32: soxr dithers 16-bit output, which would make it depend on the chunking.
        self._stream = (
            None if rate_hz == OUTPUT_RATE_HZ else soxr.ResampleStream(rate_hz, OUTPUT_RATE_HZ, channels, "float32")
        )

    def feed(self, frames: Frames) -> Frames:
        """Frames at 16 kHz that are ready: they trail the input by up to 0.12 s at 8 kHz, 0.04 s at 48 kHz."""
        return frames if self._stream is None else self._run(self._stream, frames, last=False)

    def finish(self) -> Frames:
        """The rest. In all, input frames * 16000 / rate come out, rounded half up. Call it once, last."""
        nothing = np.empty((0, self._channels), dtype=np.float32)
        return nothing if self._stream is None else self._run(self._stream, nothing, last=True)

    def _run(self, stream: soxr.ResampleStream, frames: Frames, *, last: bool) -> Frames:
        resampled: Frames = stream.resample_chunk(frames, last=last)
        return resampled
