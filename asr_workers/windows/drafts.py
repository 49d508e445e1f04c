"""How much of a draft stands: what was shown of an utterance already, checked against all of its audio. Pure.

Partials decode greedily what they know so far; the final hears the whole utterance. Instead of generating it anew, all
tokens of the draft are put to the model in one teacher-forced pass, which says how likely it finds each; from the first
doubtful one on the text is generated.

As drafts seldom are in doubt, the text is generated behind all of it first, and the same pass then checks and places
both. What follows a draft is short: a text that does not end there is an echo or goes on after a wrong draft.
"""

from collections.abc import Sequence
from dataclasses import dataclass

LEAST_PROBABILITY = 0.3
"""Of a token that stands as it was shown (docs/performance.md)."""
LEAST_PROBABILITY_HURRIED = 0.1
"""The same where time counts for more than a few errors."""
_FASTEST_CHARACTERS_PER_S = 25.0
"""Of fast speech in Latin script, which is the fastest to read and to write."""
_SPARE_TOKENS = 8
"""Allowed on top: the draft's last word may end earlier than it is said to."""


@dataclass(frozen=True, slots=True)
class DraftToken:
    """One token of a draft."""

    probability: float
    begins_word: bool
    is_mark: bool
    """Punctuation alone."""


def tokens_that_stand(draft: Sequence[DraftToken], *, hurried: bool = False) -> int:
    """How many tokens at the head are kept: up to the first doubtful one, or the word that it is a part of.

    A doubtful mark is left to be generated; the word before it stands.
    """
    least = LEAST_PROBABILITY_HURRIED if hurried else LEAST_PROBABILITY
    doubtful = next((index for index, one in enumerate(draft) if one.probability < least), len(draft))
    if doubtful == len(draft) or draft[doubtful].is_mark:
        return doubtful
    return max((index for index in range(doubtful + 1) if draft[index].begins_word), default=0)


def tokens_after(draft_tokens: int, draft_characters: int, rest_s: float) -> int:
    """Tokens after which the text behind a draft is cut, by what the draft's script needs for a character.

    `rest_s` is the length of the audio behind the draft.
    """
    needed_per_s = _FASTEST_CHARACTERS_PER_S * draft_tokens / max(1, draft_characters)
    return _SPARE_TOKENS + int(needed_per_s * rest_s)
