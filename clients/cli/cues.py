"""Cut a final transcript into subtitle cues by its word times. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

from bus.contract.work import Word

MAX_LINES = 2
MAX_LINE_COLUMNS = 42
MAX_CUE_S = 7.0
"""A cue that stays longer reads as a stuck one."""
MIN_CUE_S = 0.1


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: at most `MAX_LINES` lines of `MAX_LINE_COLUMNS` columns."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    """With the blank before it, if there was one."""
    start_s: float
    end_s: float


def cut_into_cues(text: str, words: Sequence[Word], *, start_s: float, end_s: float) -> list[Cue]:
    """Give the cues of one segment, in order, never overlapping; none for an empty text.

    Without usable word times the time is spread over the text by its length. A full-width character counts as
    two columns.
    """
    text = " ".join(text.split())
    if not text:
        return []
    pieces = _pieces_of_words(text, words) or _spread(text.split(" "), start_s, end_s)
    cues: list[Cue] = []
    for lines, first, last in _fill(_narrow(pieces)):
        begin = max(first.start_s, cues[-1].end_s if cues else 0.0)
        cues.append(Cue(start_s=begin, end_s=max(last.end_s, begin + MIN_CUE_S), lines=lines))
    return cues


def columns(text: str) -> int:
    """Count the terminal columns of `text`."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _pieces_of_words(text: str, words: Sequence[Word]) -> list[_Piece]:
    """Place the words in the text, whose blanks and punctuation decide; empty if they do not fit it."""
    pieces: list[_Piece] = []
    position = 0
    for word in words:
        found = text.find(word.text, position)
        if found < 0:
            return []
        end = found + len(word.text)
        pieces.append(_Piece(text[position:end], word.start_s, word.end_s))
        position = end
    if pieces:
        last = pieces.pop()
        pieces.append(_Piece(last.text + text[position:], last.start_s, last.end_s))
    return pieces


def _spread(parts: Sequence[str], start_s: float, end_s: float) -> list[_Piece]:
    """Give each part a share of the time by its columns; parts after the first get a blank before them."""
    total = sum(columns(part) for part in parts)
    pieces: list[_Piece] = []
    done = 0
    for index, part in enumerate(parts):
        begin, done = done, done + columns(part)
        pieces.append(
            _Piece(
                f" {part}" if index else part,
                start_s + (end_s - start_s) * begin / total,
                start_s + (end_s - start_s) * done / total,
            )
        )
    return pieces


def _narrow(pieces: Iterable[_Piece]) -> Iterator[_Piece]:
    """Cut pieces that no line can hold, such as text without blanks."""
    for piece in pieces:
        if columns(piece.text.strip()) <= MAX_LINE_COLUMNS:
            yield piece
            continue
        parts = [""]
        for character in piece.text:
            if columns((parts[-1] + character).strip()) > MAX_LINE_COLUMNS:
                parts.append("")
            parts[-1] += character
        share_s = (piece.end_s - piece.start_s) / len(parts)
        for index, part in enumerate(parts):
            yield _Piece(part, piece.start_s + index * share_s, piece.start_s + (index + 1) * share_s)


def _fill(pieces: Iterable[_Piece]) -> Iterator[tuple[tuple[str, ...], _Piece, _Piece]]:
    """Fill lines, then cues, greedily; gives the lines of each cue with its first and its last piece."""
    lines: list[str] = []
    first = last = _Piece("", 0.0, 0.0)
    for piece in pieces:
        if lines and piece.end_s - first.start_s > MAX_CUE_S:
            yield _stripped(lines), first, last
            lines = []
        if not lines:
            lines, first = [piece.text], piece
        elif columns((lines[-1] + piece.text).strip()) <= MAX_LINE_COLUMNS:
            lines[-1] += piece.text
        elif len(lines) < MAX_LINES:
            lines.append(piece.text)
        else:
            yield _stripped(lines), first, last
            lines, first = [piece.text], piece
        last = piece
    yield _stripped(lines), first, last


def _stripped(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(line.strip() for line in lines)
