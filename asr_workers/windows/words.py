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
_DROPPED_AT_CUT = 2
_LONGEST_WORD_S = 2.0
EARLIEST_CUT_S = 1.0
"""A text that was cut is kept up to here at least: a gap before it is the silence before the first word."""


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


def words_before_cut(words: Sequence[PlacedWord], *, spaced: bool) -> Sequence[PlacedWord]:
    """What to keep of a text that was cut: all but the last two words, or nothing. `spaced` as in `session_words`.

    A part of the last one may be missing. And alignment spreads a text over all of the audio, also over what the text
    does not reach: the last words may be placed anywhere in it, the first of them or the mark before them filling the
    gap. So what follows a gap is not kept either; if it was a pause, this costs a decode and loses nothing.
    """
    begins = [index for index, word in enumerate(words) if index == 0 or _begins(word.text, spaced)]
    if len(begins) <= _DROPPED_AT_CUT:
        return ()
    kept = words[: begins[-_DROPPED_AT_CUT]]
    for index, word in enumerate(kept):
        if word.start_s >= EARLIEST_CUT_S and word.end_s - word.start_s > _LONGEST_WORD_S:
            if _is_mark(word.text):
                return [*kept[:index], replace(word, end_s=word.start_s)]
            return kept[: max(begin for begin in begins if begin <= index)]
    return kept


def session_words(
    words: Sequence[PlacedWord], *, start_sample: int, samples: int, prior_samples: int = 0, spaced: bool
) -> tuple[Word, ...]:
    """Words in order, none outside the window or before the end of its prior, on the session's clock.

    `spaced`: the script parts words by blanks, so that the words joined by blanks are the text. Otherwise each
    character is a word, with the marks after it.
    """
    offset_s, duration_s = start_sample / SAMPLE_RATE_HZ, samples / SAMPLE_RATE_HZ
    placed = []
    earliest_s = prior_samples / SAMPLE_RATE_HZ
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
        if not word.text.strip():
            continue
        if _begins(word.text, spaced) or not joined:
            joined.append(word)
        else:
            joined[-1] = _join(joined[-1], word)
    return joined


def _begins(text: str, spaced: bool) -> bool:
    """Tell whether a word as a reader sees it begins here."""
    return text.startswith(" ") or not (spaced or _is_mark(text))


def _is_mark(text: str) -> bool:
    return not any(character.isalnum() for character in text)


def _join(word: PlacedWord, part: PlacedWord) -> PlacedWord:
    text = word.text + part.text
    if _is_mark(part.text):
        # A mark takes the pause that follows: it must not make its word longer.
        return replace(word, text=text)
    tokens = word.tokens + part.tokens
    probability = (word.probability * word.tokens + part.probability * part.tokens) / tokens
    start_s = part.start_s if _is_mark(word.text) else word.start_s
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
