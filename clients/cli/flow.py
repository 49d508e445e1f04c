"""Text of an answer, piece by piece, becomes rows of a terminal. Pure."""

import unicodedata
from typing import Final

_FENCE: Final = "```"
_TAB: Final = "    "


def printable(text: str) -> str:
    """Give `text` without what would steer a terminal: no control characters but line feeds, tabs as blanks."""
    if text.isprintable():
        return text
    return "".join(
        character
        for character in text.replace("\t", _TAB)
        if character == "\n" or unicodedata.category(character) != "Cc"
    )


def cell_width(character: str) -> int:
    """Columns that a character takes: two for East Asian wide ones, none for marks that join the one before."""
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in ("Mn", "Me", "Cf") else 1


def wrap(text: str, columns: int) -> list[str]:
    """Cut one line into rows of at most `columns`, at blanks where there are any. Gives at least one row."""
    rows: list[str] = []
    begin = width = 0
    blank: int | None = None
    for index, character in enumerate(text):
        if character == " ":
            blank = index
        width += cell_width(character)
        if width <= columns or index == begin:
            continue
        end = index if blank is None else blank
        rows.append(text[begin:end])
        begin = end if blank is None else end + 1
        blank = None
        width = sum(map(cell_width, text[begin : index + 1]))
    rows.append(text[begin:])
    return rows


class AnswerFlow:
    """Gives the rows of an answer as soon as they are full; what is left of its last line is the `tail`.

    Prose is cut at blanks. Between lines of three backticks, which begin and end code, rows are lines as they are: a
    terminal wraps them itself, and what is copied from it can be run.
    """

    def __init__(self) -> None:
        self.tail = ""
        """Shown of the answer, but no row yet."""
        self.is_empty = True
        """No text came yet."""
        self._line_is_whole = True
        self._in_code = False

    def push(self, text: str, columns: int) -> list[str]:
        """Take the next piece; gives the rows that it fills."""
        self.is_empty = False
        *lines, self.tail = (self.tail + printable(text)).split("\n")
        rows = [row for line in lines for row in self._end_line(line, columns)]
        if not self._in_code:
            *full, self.tail = wrap(self.tail, columns)
            rows += full
            self._line_is_whole = self._line_is_whole and not full
        return rows

    def finish(self) -> list[str]:
        """Give the last row, if there is one."""
        rows, self.tail = [self.tail] if self.tail else [], ""
        return rows

    def _end_line(self, line: str, columns: int) -> list[str]:
        rows = [line] if self._in_code else wrap(line, columns)
        if self._line_is_whole and line.lstrip().startswith(_FENCE):
            self._in_code = not self._in_code
        self._line_is_whole = True
        return rows
