"""The bundled recording, and where in it somebody speaks."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
_SAMPLES = Path(__file__).parents[2] / "samples"

Samples = NDArray[np.int16]


@cache
def recording() -> Samples:
    """All of it."""
    audio, rate_hz = soundfile.read(_SAMPLES / "austen.flac", dtype="int16")
    assert rate_hz == SAMPLE_RATE_HZ
    return np.asarray(audio, dtype=np.int16)


def utterances() -> tuple[tuple[int, int], ...]:
    """Where somebody speaks in it, in samples."""
    return tuple((int(one["start"] * SAMPLE_RATE_HZ), int(one["end"] * SAMPLE_RATE_HZ)) for one in _described())


def said() -> tuple[str, ...]:
    """What is said there."""
    return tuple(one["text"] for one in _described())


@cache
def _described() -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = json.loads((_SAMPLES / "austen.json").read_text(encoding="utf-8"))["utterances"]
    return described
