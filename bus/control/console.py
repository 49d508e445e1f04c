"""What children print, line by line, with the child's name before each line."""

from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

_COLOURS = (36, 33, 32, 35, 34, 31)
MAX_LINE_BYTES = 16_384
"""Longer lines are cut: a child that prints without newlines must not fill our memory."""


class LineSplitter:
    """Bytes in any pieces to text lines. Holds at most `max_line_bytes`; what a longer line loses is counted in it."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._pending = bytearray()
        self._dropped_bytes = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, without their ends."""
        *ends, rest = data.split(b"\n")
        lines = []
        for piece in ends:
            self._add(piece)
            lines.append(self._take())
        self._add(rest)
        return lines

    def flush(self) -> list[str]:
        """At the end of the stream: a last line without an end, if there is one."""
        return [self._take()] if self._pending else []

    def _add(self, piece: bytes) -> None:
        room = self._max - len(self._pending)
        self._pending += piece[:room]
        self._dropped_bytes += max(0, len(piece) - room)

    def _take(self) -> str:
        line = self._pending.decode(errors="replace").rstrip("\r")
        if self._dropped_bytes:
            line += f" ... [{self._dropped_bytes} bytes cut]"
        self._pending.clear()
        self._dropped_bytes = 0
        return line


class Console:
    """Prints `name | line` to one stream, names padded to one width and coloured on a terminal."""

    def __init__(self, stream: TextIO, *, width: int, colour: bool) -> None:
        self._stream = stream
        self._width = width
        self._colour = colour
        self._codes: dict[str, int] = {}

    def show(self, name: str, line: str) -> None:
        """Print one line. Blocks if the terminal does, which is how a paused terminal pauses the children.

        If nobody reads any more (the `tee` behind a pipe has ended), the line is lost and the service goes on.
        """
        label = f"{name:<{self._width}} |"
        if self._colour:
            code = self._codes.setdefault(name, _COLOURS[len(self._codes) % len(_COLOURS)])
            label = f"\x1b[{code}m{label}\x1b[0m"
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._stream.write(f"{label} {line}\n")
            self._stream.flush()


Show = Callable[[str, str], None]
"""Takes the name of a child and one line of its output."""
