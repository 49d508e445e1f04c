"""From what was heard to figures. Pure, but for the normaliser's tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
from whisper_normalizer.english import EnglishTextNormalizer

from benchmarks.playback import Played
from benchmarks.recordings import Recording, Spoken

_normalise = EnglishTextNormalizer()
_SLACK_S = 0.4


@dataclass(frozen=True, slots=True)
class Latency:
    """One utterance; None where its words never came."""

    first_partial_s: float | None
    """True start of speech until the first text of it."""
    first_sight_s: float | None
    """True end of speech until its last word was first shown."""
    final_s: float | None
    """True end of speech until its last word was shown and never changed again."""


def latencies(recording: Recording, played: Played) -> list[Latency]:
    """One row per utterance of the manifest."""
    return [_latency(spoken, played) for spoken in recording.utterances]


def _latency(spoken: Spoken, played: Played) -> Latency:
    finals = [(at, one) for at, one in played.finals if one.start_s < spoken.end_s and one.end_s > spoken.start_s]
    segments = {one.segment for _, one in finals}
    shown = [(at, one) for at, one in played.partials if one.segment in segments and one.end_s > spoken.start_s]
    texts = [at for at, one in shown] + [at for at, one in finals if one.text]
    first_partial = min(texts, default=None)
    if not finals:
        return Latency(None, None, None)
    final_at, last = max(finals, key=lambda pair: pair[1].end_s)
    last_word = _normalise(last.text).split()[-1:]
    sights = [
        at
        for at, one in shown
        if one.segment == last.segment
        and one.end_s >= spoken.end_s - _SLACK_S
        and last_word
        and _normalise(one.text).split()[-1:] == last_word
    ]
    return Latency(
        None if first_partial is None else first_partial - spoken.start_s,
        min([*sights, final_at]) - spoken.end_s,
        final_at - spoken.end_s,
    )


def revisions(played: Played) -> tuple[int, int, int]:
    """Words shown; of them those that the final changed; of the stable ones those that the final changed."""
    shown = changed = stable_changed = 0
    for _, final in played.finals:
        words = _normalise(final.text).split()
        last = [one for _, one in played.partials if one.segment == final.segment][-1:]
        for partial in last:
            seen, stable = _normalise(partial.text).split(), _normalise(partial.stable).split()
            shown += len(seen)
            changed += sum(1 for one, other in zip(seen, words, strict=False) if one != other)
            stable_changed += sum(1 for one, other in zip(stable, words, strict=False) if one != other)
    return shown, changed, stable_changed


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Over all words of all texts, after the Whisper English normaliser."""
    pairs = [(_normalise(one), _normalise(other)) for one, other in zip(references, hypotheses, strict=True)]
    return float(jiwer.wer([one for one, _ in pairs if one], [other for one, other in pairs if one]))


def percentile(values: Sequence[float], rank: float) -> float:
    """NaN for none."""
    return float(np.percentile(values, rank)) if values else float("nan")
