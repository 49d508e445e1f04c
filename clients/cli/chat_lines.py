"""`harken chat` without a terminal: turns from lines, from the command line or spoken, answers on stdout."""

import asyncio
import sys
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import aclosing
from typing import Final

import click

from bus.contract.client_protocol import (
    ChatCancelled,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ErrorEvent,
    ServerEvent,
    TranscriptFailed,
    TranscriptFinal,
)
from bus.contract.errors import HarkenError
from clients.cli.answer_figures import figures_line
from clients.cli.chat_advice import CUT_NOTE, explain
from clients.cli.chat_link import ChatSettings, listen, open_session
from clients.cli.connection_notes import connection_note
from clients.cli.flow import printable
from clients.cli.microphone import Microphone
from clients.cli.pump import pump
from clients.failures import from_code
from clients.sdk import AnswerStream, ConnectionChange, LiveSession

EXIT_OK: Final = 0
EXIT_ERROR: Final = 1


class AnswerWriter:
    """Writes answers to stdout as they come, each with an end of line, and all else to stderr."""

    def __init__(self, *, shows_figures: bool) -> None:
        self.status = EXIT_OK
        """1 once anything went wrong."""
        self._shows_figures = shows_figures
        self._filters = sys.stdout.isatty()
        self._in_line = False

    def piece(self, text: str) -> None:
        """Write the next piece. Raises OSError if it cannot be written."""
        self._write(printable(text) if self._filters else text)
        self._in_line = not text.endswith("\n")

    def end(self, done: ChatDone | None = None) -> None:
        """Write what follows an answer. Idempotent but for the figures of `done`."""
        if self._in_line:
            self._write("\n")
            self._in_line = False
        if done is not None and done.finish_reason == "length":
            click.echo(CUT_NOTE, err=True)
        if done is not None and self._shows_figures:
            click.echo(figures_line(done), err=True)

    def connection(self, change: ConnectionChange) -> None:
        """Say what became of the connection. The answer goes on in its line."""
        note = connection_note(change)
        if note is not None:
            click.echo(f"\n{note}" if self._in_line and self._filters else note, err=True)

    def problem(self, text: str) -> None:
        """Say that something went wrong."""
        self.end()
        self.status = EXIT_ERROR
        click.echo(printable(text), err=True)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


async def standard_input() -> AsyncIterator[str]:
    """Give the lines of standard input that are not empty, as they come."""

    def read() -> Generator[bytes, None, None]:
        yield from sys.stdin.buffer

    async with aclosing(pump(read)) as lines:
        async for line in lines:
            if text := line.decode(errors="replace").strip():
                yield text


async def only(texts: Iterable[str]) -> AsyncIterator[str]:
    """Give turns that are known already."""
    for text in texts:
        yield text


async def answer_all(settings: ChatSettings, turns: AsyncIterator[str], *, shows_figures: bool) -> int:
    """Have the turns of one conversation answered, one after the other; gives the exit status.

    A turn without an answer does not end it. Raises HarkenError where the session does not open or breaks, and OSError
    if the answer cannot be written.
    """
    writer = AnswerWriter(shows_figures=shows_figures)
    try:
        async with open_session(settings, settings.chat, on_connection=writer.connection) as session:
            async for turn in turns:
                await _answer(session, session.answer(turn), writer)
    finally:
        writer.end()
    return writer.status


async def answer_speech(settings: ChatSettings, microphone: Microphone, *, shows_figures: bool) -> int:
    """Have answered what is said, until cancelled or until the service ends the session; gives the exit status.

    Raises as `answer_all` does, and MicrophoneError.
    """
    writer = AnswerWriter(shows_figures=shows_figures)
    try:
        async with open_session(settings, settings.chat, on_connection=writer.connection) as session:
            listening = asyncio.create_task(listen(session, microphone))
            watching = asyncio.create_task(_watch(session, writer))
            try:
                await asyncio.wait([listening, watching], return_when=asyncio.FIRST_COMPLETED)
            finally:
                listening.cancel()
                watching.cancel()
                await asyncio.wait([listening, watching])
            for task in (watching, listening):
                if not task.cancelled():
                    task.result()
    finally:
        writer.end()
    return writer.status


async def _answer(session: LiveSession, answer: AnswerStream, writer: AnswerWriter) -> None:
    try:
        async for piece in answer:
            writer.piece(piece)
    except HarkenError as error:
        if session.is_over:
            raise
        writer.problem(f"no answer: {explain(error)}")
        return
    writer.end(answer.end if isinstance(answer.end, ChatDone) else None)


async def _watch(session: LiveSession, writer: AnswerWriter) -> None:
    async for event in session:
        _show(event, writer)


def _show(event: ServerEvent, writer: AnswerWriter) -> None:
    match event:
        case TranscriptFinal(text=text):
            writer.end()
            click.echo(f"> {printable(text)}", err=True)
        case TranscriptFailed(message=message):
            writer.problem(f"what you said has no transcript: {message}")
        case ChatDelta(text=text):
            writer.piece(text)
        case ChatDone():
            writer.end(event)
        case ChatCancelled():
            writer.end()
        case ChatFailed(code=code, message=message, retryable=retryable):
            writer.problem(f"no answer: {explain(from_code(code, message, retryable=retryable))}")
        case ErrorEvent(message=message):
            writer.problem(message)
        case _:
            pass
