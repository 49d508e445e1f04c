"""Speech for sessions whose every word is known: real speech, cut so that the scripted engine's words are certain.

Bursts of the bundled recording begin and end on the engine's cells, with digital silence between them; a noise floor
keeps each cell of a burst above the engine's silence. So each cell is speech or silence as a whole, wherever a window
begins or ends, and what must be heard is a function of the samples alone. The real voice activity detection finds it.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from asr_workers.engines.scripted import CELL_SAMPLES, expected_words

SAMPLE_RATE_HZ = 16_000
CELL_S = CELL_SAMPLES / SAMPLE_RATE_HZ
_SAMPLES = Path(__file__).parents[2] / "samples"
_FLOOR = 260
"""Largest sample of the noise: twice the engine's silence."""
_CLEAR_RMS = 0.03
"""A burst begins and ends with a fifth of a second at least this loud, so that no detector cuts its ends off."""
_BURST_CELLS = (3, 8)
_PAUSE_CELLS = (2, 4)

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Spoken:
    """One channel of a session."""

    pcm: bytes
    """16-bit little-endian mono at `SAMPLE_RATE_HZ`."""
    words: tuple[str, ...]
    """What the scripted engine must hear, marked; with real weights, what is said."""
    pauses: tuple[int, ...]
    """Samples at which nobody speaks, one in the middle of each pause after a burst, the last one at the end."""

    @property
    def duration_s(self) -> float:
        """Length."""
        return len(self.pcm) / 2 / SAMPLE_RATE_HZ


def speak(random: Random, bursts: int) -> Spoken:
    """So many bursts of speech, with pauses before, between and after them."""
    parts: list[Samples] = []
    pauses: list[int] = []
    for _ in range(bursts):
        parts += [_silence(random.randint(*_PAUSE_CELLS)), _burst(random)]
        pauses.append(sum(len(part) for part in parts) + CELL_SAMPLES)
    parts.append(_silence(_PAUSE_CELLS[0]))
    pcm = np.concatenate(parts).astype("<i2").tobytes()
    return Spoken(pcm, tuple(expected_words(pcm, marked=True)), tuple(pauses))


def interleaved(left: Spoken, right: Spoken) -> bytes:
    """Two channels as the frames of one stream, the shorter one filled up with silence."""
    channels = [np.frombuffer(one.pcm, dtype="<i2") for one in (left, right)]
    length = max(len(one) for one in channels)
    padded = [np.pad(one, (0, length - len(one))) for one in channels]
    return bytes(np.stack(padded, axis=1).astype("<i2").tobytes())


@cache
def recording() -> Samples:
    """The bundled recording."""
    audio, rate_hz = soundfile.read(_SAMPLES / "austen.flac", dtype="int16")
    assert rate_hz == SAMPLE_RATE_HZ
    return np.asarray(audio, dtype=np.int16)


@cache
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


def _silence(cells: int) -> Samples:
    return np.zeros(cells * CELL_SAMPLES, dtype=np.int16)


def _burst(random: Random) -> Samples:
    """A loud start and a loud end are looked for; the recording has many, so a few tries find one."""
    while True:
        start_of, end_of = random.choice(utterances())
        length = random.randint(*_BURST_CELLS) * CELL_SAMPLES
        if end_of - start_of < length:
            continue
        start = random.randrange(start_of, end_of - length + 1)
        burst = recording()[start : start + length]
        edge = CELL_SAMPLES // 2
        if min(_rms(burst[:edge]), _rms(burst[-edge:])) >= _CLEAR_RMS:
            floor = np.random.default_rng(random.getrandbits(32)).integers(-_FLOOR, _FLOOR + 1, length)
            return np.asarray(np.clip(burst + floor, -32768, 32767), dtype=np.int16)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples / 32768.0))))
