"""Continuous speech of a wanted length, from recordings of people who pause. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.recordings import SAMPLE_RATE_HZ
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES

Samples = NDArray[np.int16]

_STEP = SAMPLE_RATE_HZ // 100
"""Samples whose loudness is looked at together."""
_SPEECH = 0.5
"""Score from which a frame is speech, as in the service."""
_KEPT_FRAMES = 2
"""Of a pause: 64 ms, as between words of fluent speech."""
_SEEK_STEPS = 50
"""How far from its place a cut may move to where it is quiet."""


def without_pauses(samples: Samples, scores: Sequence[float]) -> Samples:
    """Shorten every pause to 64 ms; silence before and after goes too. `scores` are the service's, of its frames."""
    kept = []
    quiet_frames = _KEPT_FRAMES + 1  # what comes before the first word is no pause between words
    for index, score in enumerate(scores):
        quiet_frames = 0 if score >= _SPEECH else quiet_frames + 1
        if quiet_frames <= _KEPT_FRAMES:
            kept.append(samples[index * FRAME_SAMPLES : (index + 1) * FRAME_SAMPLES])
    return np.concatenate(kept[: len(kept) - min(quiet_frames, _KEPT_FRAMES)] or [samples[:0]])


def utterances(speech: Samples, length_s: float, count: int) -> list[Samples]:
    """`count` pieces of about `length_s` in a row, cut where it is quietest within half a second.

    ValueError if there is too little speech.
    """
    step = round(length_s * SAMPLE_RATE_HZ) // _STEP
    frames = _frames(speech)
    if len(frames) < step * count:
        raise ValueError(f"{len(speech) / SAMPLE_RATE_HZ:.0f} s of speech are too few for {count} times {length_s:g} s")
    loudness = _loudness(frames)
    cuts = [0, *(_quietest(loudness, step * number) for number in range(1, count + 1))]
    return [frames[start:end].reshape(-1) for start, end in zip(cuts, cuts[1:], strict=False)]


def spaced(pieces: Sequence[Samples], gap_s: float) -> Samples:
    """Pieces with silence before each and after the last."""
    gap = np.zeros(round(gap_s * SAMPLE_RATE_HZ), dtype=np.int16)
    return np.concatenate([gap, *(part for piece in pieces for part in (piece, gap))])


def _frames(samples: Samples) -> Samples:
    whole = len(samples) // _STEP * _STEP
    return samples[:whole].reshape(-1, _STEP)


def _loudness(frames: Samples) -> NDArray[np.float64]:
    energy: NDArray[np.float64] = np.mean(np.square(frames.astype(np.float64) / 32768), axis=1)
    return np.sqrt(energy)


def _quietest(loudness: NDArray[np.float64], near: int) -> int:
    first = near - _SEEK_STEPS
    return first + int(np.argmin(loudness[first : near + _SEEK_STEPS]))
