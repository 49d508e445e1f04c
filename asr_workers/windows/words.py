"""Words on the session's clock, from a token alignment. Pure.

CTranslate2's `align` says at which encoder frame each token begins. This turns tokens into words as a reader sees them,
bounds the length of words next to a pause, and moves the times from the window to the session.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from bus.contract.work import SAMPLE_RATE_HZ, Word

SECONDS_PER_FRAME = 0.02
_SENTENCE_END = frozenset(".。!！?？")
_LONGEST_TYPICAL_WORD_S = 0.7
_MIN_TYPICAL_WORD_S = 0.1


@dataclass(frozen=True, slots=True)
class Spelling:
    """One word as the tokenizer splits it: `text` keeps its leading blank."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word with times in seconds from the window's first sample."""

    text: str
    tokens: int
    start_s: float
    end_s: float
    probability: float


def place_words(
    spellings: Sequence[Spelling], alignment: Sequence[tuple[int, int]], token_probabilities: Sequence[float]
) -> list[PlacedWord]:
    """Give each spelling its time and mean token probability.

    `alignment` holds (token, frame) pairs in time order and may run one token past the text (the end marker).
    """
    starts = _token_starts(alignment)
    words: list[PlacedWord] = []
    first = 0
    for spelling in spellings:
        beyond = first + spelling.tokens
        probabilities = token_probabilities[first:beyond]
        words.append(
            PlacedWord(
                spelling.text,
                spelling.tokens,
                _at(starts, first),
                _at(starts, beyond),
                sum(probabilities) / len(probabilities) if probabilities else 0.0,
            )
        )
        first = beyond
    return words


def session_words(words: Sequence[PlacedWord], *, start_sample: int, samples: int, spaced: bool) -> tuple[Word, ...]:
    """Words in order, none outside the window, on the session's clock.

    `spaced`: the script parts words by blanks, so that the words joined by blanks are the text. Otherwise each
    character is a word, with the marks after it.
    """
    offset_s, duration_s = start_sample / SAMPLE_RATE_HZ, samples / SAMPLE_RATE_HZ
    placed = []
    earliest_s = 0.0
    for word in _bound_lengths(_join_parts(words, spaced)):
        start_s = min(max(word.start_s, earliest_s), duration_s)
        end_s = min(max(word.end_s, start_s), duration_s)
        earliest_s = end_s
        placed.append(
            Word(
                text=word.text.strip(),
                start_s=round(offset_s + start_s, 3),
                end_s=round(offset_s + end_s, 3),
                probability=round(min(max(word.probability, 0.0), 1.0), 4),
            )
        )
    return tuple(placed)


def _token_starts(alignment: Sequence[tuple[int, int]]) -> list[float]:
    """Time of the first frame of each token; tokens are numbered from 0 without gaps."""
    starts: list[float] = []
    previous = -1
    for token, frame in alignment:
        if token != previous:
            starts.append(frame * SECONDS_PER_FRAME)
            previous = token
    return starts


def _at(starts: Sequence[float], token: int) -> float:
    if not starts:
        return 0.0
    return starts[min(token, len(starts) - 1)]


def _join_parts(words: Sequence[PlacedWord], spaced: bool) -> list[PlacedWord]:
    """Join what the tokenizer split: marks to their word, and the parts of "o'clock" or "post-mortem"."""
    joined: list[PlacedWord] = []
    for word in words:
        is_mark = not any(character.isalnum() for character in word.text)
        begins = word.text.startswith(" ") or not (spaced or is_mark)
        if not word.text.strip():
            continue
        if begins or not joined:
            joined.append(word)
        else:
            joined[-1] = _join(joined[-1], word, is_mark)
    return joined


def _join(word: PlacedWord, part: PlacedWord, is_mark: bool) -> PlacedWord:
    text = word.text + part.text
    if is_mark:
        # A mark takes the pause that follows: it must not make its word longer.
        return replace(word, text=text)
    tokens = word.tokens + part.tokens
    probability = (word.probability * word.tokens + part.probability * part.tokens) / tokens
    start_s = word.start_s if any(character.isalnum() for character in word.text) else part.start_s
    return PlacedWord(text, tokens, start_s, part.end_s, probability)


def _bound_lengths(words: Sequence[PlacedWord]) -> list[PlacedWord]:
    """Pull the edges of words beside a pause towards their speech: alignment gives them the pause as well."""
    durations = [word.end_s - word.start_s for word in words if word.end_s > word.start_s]
    typical_s = min(_LONGEST_TYPICAL_WORD_S, median(durations)) if durations else 0.0
    longest_s = 2 * max(typical_s, _MIN_TYPICAL_WORD_S)
    bounded = []
    after_pause = True
    for word in words:
        ends_sentence = word.text[-1] in _SENTENCE_END
        if word.end_s - word.start_s > longest_s:
            if after_pause:
                word = replace(word, start_s=word.end_s - longest_s)
            elif ends_sentence:
                word = replace(word, end_s=word.start_s + longest_s)
        after_pause = ends_sentence
        bounded.append(word)
    return bounded
