"""Speech for sessions whose every word is known: real speech, cut so that the scripted engine's words are certain.

Bursts of the bundled recording begin and end on the engine's cells, with digital silence between them; a noise floor
keeps each cell of a burst above the engine's silence. So each cell is speech or silence as a whole, wherever a window
begins or ends, and what must be heard is a function of the samples alone. The real voice activity detection finds it.
"""

from dataclasses import dataclass
from random import Random

import numpy as np

from asr_workers.engines.scripted import CELL_SAMPLES, expected_words
from tests.chaos.bursts import random_burst
from tests.chaos.recording import SAMPLE_RATE_HZ, Samples

_PAUSE_CELLS = (2, 4)


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
        parts += [_silence(random.randint(*_PAUSE_CELLS)), random_burst(random)]
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


def _silence(cells: int) -> Samples:
    return np.zeros(cells * CELL_SAMPLES, dtype=np.int16)
