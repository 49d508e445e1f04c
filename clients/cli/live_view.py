"""What the terminal shows while speech runs: finals scroll by, running text stands below them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bus.contract.client_protocol import (
    ServerEvent,
    SessionResumed,
    TranscriptFailed,
    TranscriptFinal,
    TranscriptPartial,
)

_TAIL_CHARACTERS = 240
"""Newest part of a running utterance that is shown: about three lines."""


class View(AbstractContextManager["View"], Protocol):
    """Shows the progress of several recordings at once. All methods return at once."""

    def opened(self, label: str) -> None:
        """Show that a recording's session is open."""

    def on_event(self, label: str, event: ServerEvent) -> None:
        """Show an event of a recording."""

    def closed(self, label: str) -> None:
        """Take a recording away. Idempotent."""

    def message(self, text: str) -> None:
        """Show a line for the user."""

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Show figures."""


class QuietView:
    """Lines for the user on stderr, nothing else."""

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""

    def opened(self, label: str) -> None:
        """Do nothing."""

    def on_event(self, label: str, event: ServerEvent) -> None:
        """Do nothing."""

    def closed(self, label: str) -> None:
        """Do nothing."""

    def message(self, text: str) -> None:
        """Print to stderr."""
        click.echo(text, err=True)

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Print to stderr, one figure per line."""
        width = max(len(name) for name, _ in rows)
        click.echo("\n".join([title, *(f"  {name.ljust(width)}  {figure}" for name, figure in rows)]), err=True)


class LiveView:
    """Live display by rich: stable words bold, the unstable tail dim, one region per recording.

    `shows_finals`: finals scroll above the regions with their times; False where they appear as output anyway.
    `shares_stdout`: stdout is the same terminal, so what is printed there is put above the regions too.
    """

    def __init__(self, console: Console, *, shows_finals: bool, shares_stdout: bool, labelled: bool) -> None:
        self._console = console
        self._shows_finals = shows_finals
        self._labelled = labelled
        self._regions: dict[str, dict[int, TranscriptPartial]] = {}
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=shares_stdout,
            redirect_stderr=True,
        )

    def __enter__(self) -> Self:
        """Start the display."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the regions off the screen; what scrolled by stays."""
        self._regions.clear()
        self._live.stop()

    def opened(self, label: str) -> None:
        """Add the recording's region."""
        self._regions[label] = {}

    def on_event(self, label: str, event: ServerEvent) -> None:
        """Update the region from a partial; move a final out of it."""
        region = self._regions.setdefault(label, {})
        match event:
            case TranscriptPartial():
                region[event.channel] = event
            case TranscriptFinal():
                self._drop(region, event.channel, event.segment)
                if self._shows_finals and event.text.strip():
                    self._console.print(final_line(label if self._labelled else None, event))
            case TranscriptFailed():
                self._drop(region, event.channel, event.segment)
            case SessionResumed():
                region.clear()
            case _:
                pass

    def closed(self, label: str) -> None:
        """Remove the recording's region."""
        self._regions.pop(label, None)

    def message(self, text: str) -> None:
        """Print above the regions."""
        self._console.print(Text(text))

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Print above the regions."""
        table = Table(title=title, show_header=False, title_justify="left")
        for name, figure in rows:
            table.add_row(name, Text(figure, justify="right"))
        self._console.print(table)

    def _render(self) -> Group:
        # Called by rich's refresh thread: a copy, because the event loop changes the regions meanwhile.
        regions = [(label, list(region.values())) for label, region in list(self._regions.items())]
        return Group(*(region_text(label if self._labelled else None, partials) for label, partials in regions))

    def _drop(self, region: dict[int, TranscriptPartial], channel: int, segment: int) -> None:
        if channel in region and region[channel].segment <= segment:
            del region[channel]


def region_text(label: str | None, partials: Sequence[TranscriptPartial]) -> Text:
    """Render the running text of one recording: the newest part, stable words bold, the rest dim."""
    text = Text()
    if label is not None:
        text.append(f"{label}  ", style="cyan")
    if not partials:
        return text.append("listening", style="dim")
    for index, partial in enumerate(partials):
        if index:
            text.append("\n")
        hidden = max(0, len(partial.text) - _TAIL_CHARACTERS)
        text.append(f"[{clock(partial.start_s)}] ", style="dim")
        text.append(("..." if hidden else "") + partial.stable[hidden:], style="bold")
        text.append(partial.text[max(hidden, len(partial.stable)) :], style="dim")
    return text


def final_line(label: str | None, event: TranscriptFinal) -> Text:
    """Render a final as one line with its time."""
    text = Text(f"[{clock(event.start_s)}] ", style="green")
    if label is not None:
        text.append(f"{label}  ", style="cyan")
    return text.append(event.text.strip(), style="default")


def clock(time_s: float) -> str:
    """Format as minutes, seconds and tenths, with hours where there are any."""
    tenths = max(0, round(time_s * 10))
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:" if hours else "") + f"{minutes:02d}:{tenths // 10:02d}.{tenths % 10}"
