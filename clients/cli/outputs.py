"""Where transcripts go. Every piece is flushed as it lands, so an interruption loses nothing."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, TextIO


class Output(Protocol):
    """Takes the pieces of several documents, numbered from 0 in the order of the command line."""

    def write(self, part: int, text: str) -> None:
        """Append to one document. OSError if that fails."""

    def finish(self, part: int) -> None:
        """Say that nothing more comes for a document. Idempotent; due for every part, also an empty one."""

    def close(self) -> None:
        """Write whatever waits, and release the files. Idempotent."""


class NoOutput:
    """Drops everything: the view shows it."""

    def write(self, part: int, text: str) -> None:
        """Do nothing."""

    def finish(self, part: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class StreamOutput:
    """All documents on one stream, one after the other in their order.

    The first unfinished document is written as it grows; text of a later one waits in memory until its turn.
    """

    def __init__(self, stream: TextIO, *, owns_stream: bool = False) -> None:
        self._stream = stream
        self._owns_stream = owns_stream
        self._head = 0
        self._waiting: dict[int, list[str]] = {}
        self._finished: set[int] = set()

    def write(self, part: int, text: str) -> None:
        """Append now if it is this document's turn, else later."""
        if part == self._head:
            self._append(text)
        else:
            self._waiting.setdefault(part, []).append(text)

    def finish(self, part: int) -> None:
        """Move on to the next documents if this one was being written."""
        self._finished.add(part)
        while self._head in self._finished:
            self._head += 1
            self._append("".join(self._waiting.pop(self._head, ())))

    def close(self) -> None:
        """Write what still waits, in order, although earlier documents are unfinished."""
        for part in sorted(self._waiting):
            self._append("".join(self._waiting.pop(part)))
        if self._owns_stream:
            self._stream.close()

    def _append(self, text: str) -> None:
        if text:
            self._stream.write(text)
            self._stream.flush()


class DirectoryOutput:
    """One file per document, made with its first piece."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._files: dict[int, TextIO] = {}

    def write(self, part: int, text: str) -> None:
        """Append to the document's file; an older file of that name is replaced."""
        if part not in self._files:
            self._files[part] = self._paths[part].open("w", encoding="utf-8")
        self._files[part].write(text)
        self._files[part].flush()

    def finish(self, part: int) -> None:
        """Close the document's file."""
        file = self._files.pop(part, None)
        if file is not None:
            file.close()

    def close(self) -> None:
        """Close all files."""
        for part in list(self._files):
            self.finish(part)


def output_paths(directory: Path, names: Iterable[str], suffix: str) -> list[Path]:
    """Name one file per input: its stem and `suffix`; inputs that share a stem keep their own suffix or a number."""
    inputs = [Path(name) for name in names]
    stems = [path.stem for path in inputs]
    paths: list[Path] = []
    for path in inputs:
        base = path.stem if stems.count(path.stem) == 1 else path.name
        candidate, number = directory / f"{base}{suffix}", 2
        while candidate in paths:
            candidate, number = directory / f"{base}-{number}{suffix}", number + 1
        paths.append(candidate)
    return paths
