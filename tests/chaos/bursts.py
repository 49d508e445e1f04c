"""Pieces of the bundled recording that the voice activity detection hears from their first to their last moment.

What a session must hear has to be certain: no word at an edge may hang on what the detection remembers of before, for
it begins anew where a session is taken up. `python -m tests.chaos.find_bursts` has found these.
"""

from random import Random
from typing import NamedTuple

import numpy as np

from asr_workers.engines.scripted import CELL_SAMPLES
from tests.chaos.recording import Samples, recording

_FLOOR = 260
"""Largest sample of the noise that each burst has: twice the scripted engine's silence, so that no cell is silent."""


class Piece(NamedTuple):
    """Where a burst is in the recording."""

    start_sample: int
    cells: int
    """Its length, in cells of the scripted engine."""


PIECES: tuple[Piece, ...] = (
    Piece(30400, 6),
    Piece(328960, 5),
    Piece(350400, 4),
    Piece(61120, 3),
    Piece(18880, 8),
    Piece(337600, 5),
    Piece(222080, 5),
    Piece(338240, 4),
    Piece(318400, 4),
    Piece(346240, 5),
    Piece(226880, 3),
    Piece(218560, 5),
    Piece(361280, 3),
    Piece(27520, 7),
    Piece(59840, 4),
    Piece(334400, 6),
)


def random_burst(random: Random) -> Samples:
    """One of them."""
    return cut_out(random.choice(PIECES))


def cut_out(piece: Piece) -> Samples:
    """The audio of a piece, with its noise: always the same."""
    length = piece.cells * CELL_SAMPLES
    floor = np.random.default_rng(piece.start_sample).integers(-_FLOOR, _FLOOR + 1, length)
    burst = recording()[piece.start_sample : piece.start_sample + length] + floor
    return np.asarray(np.clip(burst, -32768, 32767), dtype=np.int16)
