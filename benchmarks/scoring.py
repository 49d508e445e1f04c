"""How many words are wrong. Pure, but for the normalisers' tables.

Texts are compared after Whisper's own normalisers: the English one, the basic one for other languages. Chinese,
Japanese and Korean are counted by character.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import jiwer
import numpy as np
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

_UNSPACED_LANGUAGES: Final = frozenset({"zh", "ja", "ko"})
_english = EnglishTextNormalizer()
_basic = BasicTextNormalizer(remove_diacritics=True)
_characters = BasicTextNormalizer(split_letters=True)


def tokens(text: str, language: str = "en") -> list[str]:
    """Normalised words of `text`, or its characters where the language writes no blanks."""
    if language == "en":
        return str(_english(text)).split()
    return str((_characters if language in _UNSPACED_LANGUAGES else _basic)(text)).split()


@dataclass(frozen=True, slots=True)
class Errors:
    """Substituted, deleted and inserted words against the words that were said. Sums up with `+`."""

    wrong: int = 0
    said: int = 0

    def __add__(self, other: Self) -> "Errors":
        return Errors(self.wrong + other.wrong, self.said + other.said)

    @property
    def rate(self) -> float:
        """Word (or character) error rate; NaN if nothing was said."""
        return self.wrong / self.said if self.said else float("nan")


def count_errors(reference: str, hypothesis: str, language: str = "en") -> Errors:
    """Compare one transcript with what was said."""
    said, heard = tokens(reference, language), tokens(hypothesis, language)
    if not said:
        return Errors(len(heard), 0)
    result = jiwer.process_words(" ".join(said), " ".join(heard))
    return Errors(result.substitutions + result.deletions + result.insertions, len(said))


def total(counts: Iterable[Errors]) -> Errors:
    """All errors over all words: long texts weigh more than short ones."""
    return sum(counts, Errors())


def percentile(values: Iterable[float], rank: float) -> float:
    """Linear between the two nearest values; NaN for none."""
    found = list(values)
    return float(np.percentile(found, rank)) if found else float("nan")
