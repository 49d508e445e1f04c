"""Raw client audio, as bytes in any chunking, to float frames; and back to 16-bit at the end of the pipeline."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bus.contract.client_protocol import (
    ENCODINGS,
    MAX_CHANNELS,
    MAX_SAMPLE_RATE_HZ,
    MIN_SAMPLE_RATE_HZ,
    AudioFormat,
)
from bus.contract.errors import UnsupportedAudio

Frames = NDArray[np.float32]
"""[samples, channels], -1 to 1."""

_SAMPLE_TYPES: Mapping[str, np.dtype[np.generic]] = {
    "linear16": np.dtype("<i2"),
    "float32": np.dtype("<f4"),
    "mulaw": np.dtype("u1"),
    "alaw": np.dtype("u1"),
}


def check_audio(audio: AudioFormat) -> None:
    """Raise UnsupportedAudio that names what is accepted. A container brings its own sample rate and channels."""
    if audio.encoding not in ENCODINGS:
        raise UnsupportedAudio(f"audio.encoding must be one of {', '.join(ENCODINGS)}")
    if not 1 <= audio.channels <= MAX_CHANNELS:
        raise UnsupportedAudio(f"audio.channels must be from 1 to {MAX_CHANNELS}, not {audio.channels}")
    if audio.encoding != "container" and not MIN_SAMPLE_RATE_HZ <= audio.sample_rate <= MAX_SAMPLE_RATE_HZ:
        raise UnsupportedAudio(
            f"audio.sample_rate must be from {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz, not {audio.sample_rate}"
        )


class RawReader:
    """Frames of one raw stream. A frame that a chunk cuts in two is kept until its rest arrives."""

    def __init__(self, encoding: str, channels: int) -> None:
        """`encoding` is one of linear16, float32 (both little-endian, interleaved), mulaw or alaw."""
        self._encoding = encoding
        self._channels = channels
        self._sample_type = _SAMPLE_TYPES[encoding]
        self.frame_bytes = self._sample_type.itemsize * channels
        self._partial = b""

    def feed(self, data: bytes) -> Frames:
        """All frames that `data` completes."""
        return _to_float(self._samples(data), self._encoding).reshape(-1, self._channels)

    def feed_as_is(self, data: bytes) -> NDArray[np.int16]:
        """The same for linear16 without a conversion: [samples, channels], to be read only."""
        return self._samples(data).astype(np.int16, copy=False).reshape(-1, self._channels)

    def _samples(self, data: bytes) -> NDArray[np.generic]:
        data = self._partial + data
        whole = len(data) - len(data) % self.frame_bytes
        self._partial = data[whole:]
        return np.frombuffer(data, dtype=self._sample_type, count=whole // self._sample_type.itemsize)


def mix(frames: Frames) -> Frames:
    """All channels averaged into one: [samples, 1]."""
    return frames if frames.shape[1] == 1 else frames.mean(axis=1, keepdims=True)


def to_int16(frames: Frames) -> NDArray[np.int16]:
    """Rounded and clipped, same shape. Exact for what came from 16 bits."""
    samples: NDArray[np.int16] = np.clip(np.rint(frames * np.float32(32768)), -32768, 32767).astype(np.int16)
    return samples


def _to_float(samples: NDArray[np.generic], encoding: str) -> Frames:
    match encoding:
        case "linear16":
            return samples.astype(np.float32) / np.float32(32768)
        case "float32":
            # A client's NaN would stay in the resampler and in the speech model for good.
            finite = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
            return np.clip(finite, -1, 1)
        case "mulaw":
            return _MULAW[samples.astype(np.intp)]
        case _:
            return _ALAW[samples.astype(np.intp)]


def _mulaw_table() -> Frames:
    """G.711 section 3, mu-law: inverted bits, sign, 3 bits of exponent, 4 of mantissa, bias 33 (here times 4)."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 0x07)) - 0x84
    return (np.where(code & 0x80, -magnitude, magnitude) / 32768).astype(np.float32)


def _alaw_table() -> Frames:
    """G.711 section 3, A-law: even bits inverted, sign, 3 bits of exponent, 4 of mantissa."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code >> 4) & 0x07
    mantissa = ((code & 0x0F) << 4) + 8
    magnitude = np.where(exponent == 0, mantissa, (mantissa + 0x100) << np.maximum(exponent - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / 32768).astype(np.float32)


_MULAW = _mulaw_table()
_ALAW = _alaw_table()
