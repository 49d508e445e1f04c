"""Pieces of the bundled recording that any voice activity detection hears from their first to their last moment.

What a session must hear has to be certain, so that a burst is taken only if the gateway's own detection, from silence,
is quick to hear it and slow to leave it: whatever it remembers of the audio before, no word at an edge hangs on that.
"""

from functools import cache
from random import Random

import numpy as np

from asr_workers.engines.scripted import CELL_SAMPLES
from bus.runtime.model_store.store import default_cache_dir, resolve
from stream_gateway.segmentation.lane import Lane, score_next_frames
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES
from stream_gateway.segmentation.speech_model import SileroModel
from tests.chaos.recording import SAMPLE_RATE_HZ, Samples, recording, utterances

_FLOOR = 260
"""Largest sample of the noise: twice the scripted engine's silence."""
_CELLS = (3, 8)
_LIBRARY = 24
"""So many different bursts are enough: their places in a session differ."""
_SEED = 20
_SPEECH = 0.6
"""Above the threshold of the gateway, for a margin."""
_EDGE_S = 0.2
"""Within so much of its ends a burst is speech: well within the pre-roll, and what follows the last frame."""
_LONGEST_GAP_S = 0.3
"""Below any endpoint: a burst is one utterance."""
_BEFORE_S = 0.8


def random_burst(random: Random) -> Samples:
    """One of them; its length is a whole number of cells."""
    return random.choice(_library())


@cache
def _library() -> tuple[Samples, ...]:
    random, model = Random(_SEED), SileroModel(resolve("silero-vad", cache_dir=default_cache_dir()))
    found: list[Samples] = []
    while len(found) < _LIBRARY:
        burst = _candidate(random)
        if _is_clear(model, burst):
            found.append(burst)
    return tuple(found)


def _candidate(random: Random) -> Samples:
    """Speech from anywhere in the recording, with a noise floor, so that no cell of it is silent to the engine."""
    while True:
        first, last = random.choice(utterances())
        length = random.randint(*_CELLS) * CELL_SAMPLES
        if last - first < length:
            continue
        start = random.randrange(first, last - length + 1)
        floor = np.random.default_rng(random.getrandbits(32)).integers(-_FLOOR, _FLOOR + 1, length)
        return np.asarray(np.clip(recording()[start : start + length] + floor, -32768, 32767), dtype=np.int16)


def _is_clear(model: SileroModel, burst: Samples) -> bool:
    before = np.zeros(int(_BEFORE_S * SAMPLE_RATE_HZ), dtype=np.int16)
    scores = _scores(model, np.concatenate([before, burst]))
    frame_s = FRAME_SAMPLES / SAMPLE_RATE_HZ
    speech = [number * frame_s - _BEFORE_S for number, score in enumerate(scores) if score >= _SPEECH]
    if not speech:
        return False
    gaps = [after - before for before, after in zip(speech, speech[1:], strict=False)]
    ends_at = len(burst) / SAMPLE_RATE_HZ - _EDGE_S
    return speech[0] <= _EDGE_S and speech[-1] >= ends_at and max(gaps, default=0.0) <= _LONGEST_GAP_S


def _scores(model: SileroModel, samples: Samples) -> list[float]:
    lane = Lane(inbox=[samples], inbox_samples=len(samples))
    lane.pull_inbox()
    scores: list[float] = []
    while lane.has_frame:
        scores += score_next_frames(model, [lane], 4)[0]
    return scores
