"""PCM bytes to the log-mel features of an encoder, without padding the audio to 30 s first."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bus.contract.work import SAMPLE_RATE_HZ

FRAMES_PER_SECOND = 100
MIN_SAMPLES = SAMPLE_RATE_HZ // 10
"""Shorter audio is extended with silence: a spectrogram needs a few frames."""

Samples: TypeAlias = NDArray[np.float32]
Features: TypeAlias = NDArray[np.float32]
Extractor: TypeAlias = Callable[[Samples], NDArray[np.floating]]


def samples_of(pcm: bytes) -> Samples:
    """Read 16-bit little-endian PCM as float32 in [-1, 1), at least `MIN_SAMPLES` long."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768.0
    missing = MIN_SAMPLES - samples.size
    return np.pad(samples, (0, missing)) if missing > 0 else samples


def log_mel(pcm: bytes, extract: Extractor) -> Features:
    """Log-mel features [bands, frames] of one window; `extract` must be safe to call from several threads."""
    return np.asarray(extract(samples_of(pcm)), dtype=np.float32)


def pad_to_context(features: Features, context_s: int) -> Features:
    """Cut or zero-pad to exactly `context_s`, contiguous: [bands, context_s * FRAMES_PER_SECOND].

    Zero is not silence in log-mel, but it is what the model is used to from offline decoding, and it measured better.
    """
    frames = context_s * FRAMES_PER_SECOND
    padded = np.zeros((features.shape[0], frames), dtype=np.float32)
    kept = min(frames, features.shape[1])
    padded[:, :kept] = features[:, :kept]
    return padded
