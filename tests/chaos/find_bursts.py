"""`python -m tests.chaos.find_bursts`: the pieces of the recording that bursts.py names, found anew.

A piece is taken only if the gateway's own detection hears it from its first to its last moment, whatever came before
it: nothing, or any of some other pieces and a pause of any length that sessions have.
"""

import itertools
from random import Random

import click
import numpy as np

from asr_workers.engines.scripted import CELL_SAMPLES
from bus.runtime.model_store.store import default_cache_dir, resolve
from stream_gateway.segmentation.lane import Lane, score_next_frames
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES
from stream_gateway.segmentation.speech_model import SileroModel
from tests.chaos.bursts import Piece, cut_out
from tests.chaos.recording import SAMPLE_RATE_HZ, Samples, utterances

_WANTED = 16
_CELLS = (3, 8)
_STEP_S = 0.02
_SPEECH = 0.6
"""Above the threshold of the gateway, for a margin."""
_STARTS_WITHIN_S = 0.25
"""The pre-roll is 0.45 s, and the first word stands 0.2 s from the beginning: so much more is to spare."""
_ENDS_WITHIN_S = 0.15
"""The last word stands 0.2 s before the end."""
_LONGEST_GAP_S = 0.3
"""Below any endpoint: a burst is one utterance."""
_PAUSES_CELLS = (2, 3, 4)
_FIRST = 3
"""So many pieces are found without others before them; all further ones with each of these before them."""


@click.command()
def main() -> None:
    """Print the pieces."""
    random, model = Random(1), SileroModel(resolve("silero-vad", cache_dir=default_cache_dir()))
    found: list[Piece] = []
    for piece in _candidates(random):
        burst = cut_out(piece)
        others = [np.zeros(0, dtype=np.int16), *(cut_out(one) for one in found[:_FIRST])]
        befores = [
            np.concatenate([other, np.zeros(pause * CELL_SAMPLES, dtype=np.int16)])
            for other, pause in itertools.product(others, _PAUSES_CELLS)
        ]
        if all(_is_clear(model, before, burst) for before in befores):
            found.append(piece)
            click.echo(f"    Piece({piece.start_sample}, {piece.cells}),")
        if len(found) == _WANTED:
            return


def _candidates(random: Random) -> list[Piece]:
    step = int(_STEP_S * SAMPLE_RATE_HZ)
    pieces = [
        Piece(start, cells)
        for first, last in utterances()
        for cells in range(_CELLS[0], _CELLS[1] + 1)
        for start in range(first, last - cells * CELL_SAMPLES, step)
    ]
    random.shuffle(pieces)
    return pieces


def _is_clear(model: SileroModel, before: Samples, burst: Samples) -> bool:
    scores = _scores(model, np.concatenate([before, burst]))
    offset_s = len(before) / SAMPLE_RATE_HZ
    frame_s = FRAME_SAMPLES / SAMPLE_RATE_HZ
    times = [number * frame_s - offset_s for number in range(len(scores))]
    speech = [time for time, score in zip(times, scores, strict=True) if score >= _SPEECH and time > -frame_s]
    if not speech:
        return False
    gaps = [after - one for one, after in zip(speech, speech[1:], strict=False)]
    ends_at = len(burst) / SAMPLE_RATE_HZ - _ENDS_WITHIN_S
    return speech[0] <= _STARTS_WITHIN_S and speech[-1] >= ends_at and max(gaps, default=0.0) <= _LONGEST_GAP_S


def _scores(model: SileroModel, samples: Samples) -> list[float]:
    lane = Lane(inbox=[samples], inbox_samples=len(samples))
    lane.pull_inbox()
    scores: list[float] = []
    while lane.has_frame:
        scores += score_next_frames(model, [lane], 4)[0]
    return scores


if __name__ == "__main__":
    main()
