"""Transcript formats, written piece by piece as finals land. Pure: text out, nothing is opened or flushed.

Each writer gives `opening`, then a piece per final or failed segment in the order in which they land, then
`closing`. Joined, the pieces are a valid document whenever `closing` was written, also after an interruption.
JSONL is valid even without it.
"""

from typing import Any, Literal, Protocol, assert_never

import msgspec

from bus.contract.client_protocol import TranscriptFailed, TranscriptFinal
from clients.cli.cues import Cue, cut_into_cues

Format = Literal["text", "srt", "vtt", "json", "jsonl"]
SUFFIXES: dict[Format, str] = {"text": ".txt", "srt": ".srt", "vtt": ".vtt", "json": ".json", "jsonl": ".jsonl"}


class TranscriptWriter(Protocol):
    """One document. Every method gives the text to append, perhaps none."""

    def opening(self) -> str:
        """Give what stands before the first segment."""

    def final(self, event: TranscriptFinal) -> str:
        """Give one segment's text."""

    def failed(self, event: TranscriptFailed) -> str:
        """Give the mark of a segment that has no transcript."""

    def closing(self, *, complete: bool) -> str:
        """Give what ends the document; `complete` is False if audio is missing."""


def make_writer(kind: Format, *, label: str, channels: int = 1, labelled: bool = False) -> TranscriptWriter:
    """Make the writer of one recording.

    `label` names the recording. `labelled` puts it over a text that shares its stream with others; JSON and
    JSONL always carry it.
    """
    match kind:
        case "text":
            return TextWriter(label=label if labelled else None, channels=channels)
        case "srt":
            return SrtWriter(channels=channels)
        case "vtt":
            return VttWriter(channels=channels)
        case "json":
            return JsonWriter(label=label)
        case "jsonl":
            return JsonLinesWriter(label=label)
        case _:
            assert_never(kind)


class TextWriter:
    """One line per segment that has words; with two channels each line begins with the channel's number."""

    def __init__(self, *, label: str | None = None, channels: int = 1) -> None:
        self._label = label
        self._channels = channels

    def opening(self) -> str:
        """Give the label as a heading, if any."""
        return "" if self._label is None else f"==> {self._label} <==\n"

    def final(self, event: TranscriptFinal) -> str:
        """Give the line; nothing for an empty text."""
        text = " ".join(event.text.split())
        return f"{_speaker(event, self._channels)}{text}\n" if text else ""

    def failed(self, event: TranscriptFailed) -> str:
        """Give nothing: plain text has no room for it."""
        return ""

    def closing(self, *, complete: bool) -> str:
        """Give a blank line below a labelled text."""
        return "" if self._label is None else "\n"


class SrtWriter:
    """SubRip: numbered cues, comma before the milliseconds."""

    def __init__(self, *, channels: int = 1) -> None:
        self._channels = channels
        self._cues = 0

    def opening(self) -> str:
        """Give nothing: the format has no header."""
        return ""

    def final(self, event: TranscriptFinal) -> str:
        """Give the segment's cues."""
        return "".join(self._cue(cue) for cue in _cues(event, self._channels))

    def failed(self, event: TranscriptFailed) -> str:
        """Give nothing: the format has no comments."""
        return ""

    def closing(self, *, complete: bool) -> str:
        """Give nothing."""
        return ""

    def _cue(self, cue: Cue) -> str:
        self._cues += 1
        # An arrow in the words would read as a time line.
        text = "\n".join(cue.lines).replace("-->", "->")
        return f"{self._cues}\n{timestamp(cue.start_s, ',')} --> {timestamp(cue.end_s, ',')}\n{text}\n\n"


class VttWriter:
    """WebVTT: header, cues without numbers, markup characters escaped."""

    def __init__(self, *, channels: int = 1) -> None:
        self._channels = channels

    def opening(self) -> str:
        """Give the header."""
        return "WEBVTT\n\n"

    def final(self, event: TranscriptFinal) -> str:
        """Give the segment's cues."""
        return "".join(self._cue(cue) for cue in _cues(event, self._channels))

    def failed(self, event: TranscriptFailed) -> str:
        """Give a comment that names the gap."""
        return f"NOTE no transcript from {timestamp(event.start_s, '.')} to {timestamp(event.end_s, '.')}\n\n"

    def closing(self, *, complete: bool) -> str:
        """Give nothing."""
        return ""

    def _cue(self, cue: Cue) -> str:
        text = "\n".join(cue.lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f"{timestamp(cue.start_s, '.')} --> {timestamp(cue.end_s, '.')}\n{text}\n\n"


class JsonWriter:
    """One object: `file`, `segments`, `complete`. Only `closing` makes it valid; prefer JSONL for live reading."""

    def __init__(self, *, label: str) -> None:
        self._label = label
        self._segments = 0

    def opening(self) -> str:
        """Give the head, up to the open list of segments."""
        return f'{{"file": {_json(self._label)}, "segments": ['

    def final(self, event: TranscriptFinal) -> str:
        """Give one element of the list."""
        return self._element(event)

    def failed(self, event: TranscriptFailed) -> str:
        """Give one element of the list, of type `transcript.failed`."""
        return self._element(event)

    def closing(self, *, complete: bool) -> str:
        """Close the list and the object."""
        return f'\n], "complete": {_json(complete)}}}\n'

    def _element(self, event: TranscriptFinal | TranscriptFailed) -> str:
        self._segments += 1
        return f"{',' if self._segments > 1 else ''}\n{_json(_fields(event))}"


class JsonLinesWriter:
    """One object per line and segment, each with its `file` and `type`."""

    def __init__(self, *, label: str) -> None:
        self._label = label

    def opening(self) -> str:
        """Give nothing."""
        return ""

    def final(self, event: TranscriptFinal) -> str:
        """Give one line."""
        return self._line(event)

    def failed(self, event: TranscriptFailed) -> str:
        """Give one line of type `transcript.failed`."""
        return self._line(event)

    def closing(self, *, complete: bool) -> str:
        """Give nothing."""
        return ""

    def _line(self, event: TranscriptFinal | TranscriptFailed) -> str:
        return _json({"file": self._label, **_fields(event)}) + "\n"


def timestamp(time_s: float, point: str) -> str:
    """Format as `HH:MM:SS` + `point` + milliseconds; times before zero count as zero."""
    milliseconds = max(0, round(time_s * 1000))
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{milliseconds:03d}"


def _cues(event: TranscriptFinal, channels: int) -> list[Cue]:
    text = " ".join(event.text.split())
    return cut_into_cues(
        f"{_speaker(event, channels)}{text}" if text else "", event.words, start_s=event.start_s, end_s=event.end_s
    )


def _speaker(event: TranscriptFinal, channels: int) -> str:
    return f"{event.channel + 1}: " if channels > 1 else ""


def _fields(event: TranscriptFinal | TranscriptFailed) -> dict[str, Any]:
    # `seq` counts events on one socket and means nothing in a document.
    return {name: value for name, value in msgspec.to_builtins(event).items() if name != "seq"}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
