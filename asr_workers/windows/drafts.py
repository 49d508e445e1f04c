"""A final's text against what its utterance was shown as already. Pure.

Partials decode greedily what they know so far; the final decodes the whole utterance, with a beam. Where the two
disagree about words that were shown as stable, the final may be right, or merely differ. So the text with those words
in their place is put to the model as well, teacher-forced, and stays unless it is clearly less likely. Nothing is
computed where they agree.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from math import log

DRAFT_MARGIN = 3.0
"""How much less likely, in summed log-probability, the text with the shown words may be. Up to here the word error rate
does not move; a margin of 6 adds half a point (docs/performance.md)."""
_LEAST_PROBABILITY = 1e-9


def with_draft(draft: Sequence[str], final: Sequence[str]) -> list[str]:
    """The words of `final` with those of `draft` in the place of what differs; spelled as in `final` where they agree.

    A difference at the end of the draft replaces as many words as it has: what follows them was never shown.
    """
    matcher = SequenceMatcher(a=[_sound(word) for word in draft], b=[_sound(word) for word in final], autojunk=False)
    words: list[str] = []
    for kind, from_draft, to_draft, from_final, to_final in matcher.get_opcodes():
        if kind == "equal" or from_draft == len(draft):
            words += final[from_final:to_final]
            continue
        words += draft[from_draft:to_draft]
        if to_draft == len(draft):
            words += final[min(to_final, from_final + to_draft - from_draft) : to_final]
    return words


def keeps_draft(draft_probabilities: Sequence[float], final_probabilities: Sequence[float]) -> bool:
    """Say whether the text with the shown words stays, from the probability of each token of it and of the final."""
    return _log_probability(draft_probabilities) >= _log_probability(final_probabilities) - DRAFT_MARGIN


def _log_probability(probabilities: Sequence[float]) -> float:
    return sum(log(max(one, _LEAST_PROBABILITY)) for one in probabilities)


def _sound(word: str) -> str:
    """A word without what may be spelled differently: case and punctuation."""
    bare = "".join(character for character in word.casefold() if character.isalnum())
    return bare or word
