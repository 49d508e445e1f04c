"""Continuous speech of a wanted length, from recordings of people who pause. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.recordings import SAMPLE_RATE_HZ

Samples = NDArray[np.int16]

_FRAME = SAMPLE_RATE_HZ // 100
_QUIET_DB = -32.0
"""Against the loud tenth of a recording: above the noise of a quiet room, below the consonants."""
_SILENT_DB = -70.0
"""Against full scale: below it there is nothing to hear."""
_KEPT_FRAMES = 6
"""Of a pause: 60 ms, as between words of fluent speech."""
_SEEK_FRAMES = 50
"""How far from its place a cut may move to where it is quiet."""


def without_pauses(samples: Samples) -> Samples:
    """Shorten every pause to 60 ms; silence before and after goes too."""
    frames = _frames(samples)
    level_db = 20 * np.log10(_loudness(frames) + 1e-9)
    if not len(frames) or level_db.max() < _SILENT_DB:
        return samples[:0]
    loud = level_db > np.percentile(level_db, 90) + _QUIET_DB
    kept = np.zeros(len(loud), dtype=bool)
    quiet_frames = _KEPT_FRAMES  # what comes before the first word is no pause between words
    for index, is_loud in enumerate(loud):
        quiet_frames = 0 if is_loud else quiet_frames + 1
        kept[index] = quiet_frames <= _KEPT_FRAMES
    kept[np.flatnonzero(loud)[-1] + 1 :] = False
    spoken: Samples = frames[kept].reshape(-1)
    return spoken


def utterances(speech: Samples, length_s: float, count: int) -> list[Samples]:
    """`count` pieces of about `length_s` in a row, cut where it is quietest within half a second.

    ValueError if there is too little speech.
    """
    step = round(length_s * SAMPLE_RATE_HZ) // _FRAME
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
    whole = len(samples) // _FRAME * _FRAME
    return samples[:whole].reshape(-1, _FRAME)


def _loudness(frames: Samples) -> NDArray[np.float64]:
    energy: NDArray[np.float64] = np.mean(np.square(frames.astype(np.float64) / 32768), axis=1)
    return np.sqrt(energy)


def _quietest(loudness: NDArray[np.float64], near: int) -> int:
    first = near - _SEEK_FRAMES
    return first + int(np.argmin(loudness[first : near + _SEEK_FRAMES]))
