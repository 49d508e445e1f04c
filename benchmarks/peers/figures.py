"""From what sessions showed to one line of figures. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.peers.observed import Observed
from benchmarks.peers.settled import settled
from benchmarks.recordings import Recording
from benchmarks.report import Row
from benchmarks.scoring import count_errors, percentile, total
from benchmarks.timing import heard

BOUND_S = 3.0
"""A system holds as many sessions as it serves with a final p95 within this, losing nothing."""


@dataclass(frozen=True, slots=True)
class Round:
    """Figures of one system with so many sessions at once. Seconds of wall time; NaN where nothing came."""

    utterances: int
    lost: int
    final_p50_s: float
    """True end of speech to final text: the final event of a service that has one (it never changes), else the moment
    from which the last word stood where it stayed. The latter is the more lenient: a final event comes after it."""
    final_p95_s: float
    whole_p50_s: float
    """True end of speech until every word of the utterance stood as it stayed, final or not."""
    whole_p95_s: float
    first_p50_s: float
    """True start of speech to the first text of the utterance."""
    word_error_rate: float
    """Of the English recordings."""
    errors: Counter[str]
    """Why sessions were refused, broke, or were given up, and how many each."""

    @property
    def holds(self) -> bool:
        """Whether everything came, and in time."""
        return not self.lost and not self.errors and self.final_p95_s <= BOUND_S

    def row(self, system: str, sessions: int) -> Row:
        """As it is shown."""
        return {
            "system": system,
            "sessions": sessions,
            "utterances": self.utterances,
            "lost": self.lost,
            "failed": self.errors.total(),
            "final p50": self.final_p50_s,
            "final p95": self.final_p95_s,
            "whole p50": self.whole_p50_s,
            "whole p95": self.whole_p95_s,
            "first text p50": self.first_p50_s,
            "WER": self.word_error_rate,
        }


def figures(recordings: Sequence[Recording], observed: Sequence[Observed]) -> Round:
    """Figures of sessions that played these recordings, in the same order."""
    pairs = list(zip(recordings, observed, strict=True))
    rows = [row for recording, one in pairs for row in settled(recording, one.texts)]
    finals = [at for recording, one in pairs for at in _finals(recording, one)]
    return Round(
        utterances=len(rows),
        lost=sum(row.lost for row in rows),
        final_p50_s=_percentile(finals, 50),
        final_p95_s=_percentile(finals, 95),
        whole_p50_s=_percentile([row.whole_s for row in rows], 50),
        whole_p95_s=_percentile([row.whole_s for row in rows], 95),
        first_p50_s=_percentile([row.first_s for row in rows], 50),
        word_error_rate=word_error_rate(recordings, [one.text for one in observed]),
        errors=Counter(one.error for one in observed if one.error),
    )


def word_error_rate(recordings: Sequence[Recording], texts: Sequence[str]) -> float:
    """Over all words of the English ones."""
    pairs = zip(recordings, texts, strict=True)
    return total(count_errors(one.text, text) for one, text in pairs if one.language == "en").rate


def _finals(recording: Recording, observed: Observed) -> list[float | None]:
    if observed.played is not None:
        return [one.final_s for one in heard(recording, observed.played)]
    return [one.last_word_s for one in settled(recording, observed.texts)]


def _percentile(values: Sequence[float | None], rank: float) -> float:
    return percentile([one for one in values if one is not None], rank)
