"""Windows to measure with: recorded speech for real weights, noise for random ones; and what their features cost."""

import time
from pathlib import Path

import numpy as np
import soundfile
import soxr
from faster_whisper.feature_extractor import FeatureExtractor

from asr_workers.windows.features import FRAMES_PER_SECOND, Features, log_mel
from bus.contract.work import SAMPLE_RATE_HZ

WINDOW_S = 14.0
"""As long as a final of one context fits; partials are cut from it."""
_SAMPLE = Path(__file__).parents[1] / "samples" / "austen.flac"
_WINDOWS = 8


def recorded() -> list[Features]:
    """The bundled recording at different places."""
    extract = FeatureExtractor()
    return [log_mel(pcm, extract) for pcm in _speech()]


def noise(bands: int) -> list[Features]:
    """Features of nothing."""
    random = np.random.default_rng(0)
    frames = int(WINDOW_S * FRAMES_PER_SECOND)
    return [random.normal(0, 0.5, (bands, frames)).astype(np.float32) for _ in range(_WINDOWS)]


def feature_seconds() -> float:
    """What one CPU core needs for the features of a window: on a fast GPU this is what runs out first."""
    extract, windows = FeatureExtractor(), _speech()
    log_mel(windows[0], extract)
    started = time.perf_counter()
    for pcm in windows:
        log_mel(pcm, extract)
    return (time.perf_counter() - started) / len(windows)


def _speech() -> list[bytes]:
    audio, rate = soundfile.read(_SAMPLE, dtype="float32")
    samples = (np.clip(soxr.resample(audio, rate, SAMPLE_RATE_HZ), -1, 0.9999) * 32768).astype("<i2")
    length = int(WINDOW_S * SAMPLE_RATE_HZ)
    starts = np.linspace(0, samples.size - length, _WINDOWS, dtype=int)
    return [samples[start : start + length].tobytes() for start in starts]
