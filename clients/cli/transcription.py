"""Carries recordings through sessions of the service: audio out at the right pace, events to output and view."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from bus.contract.client_protocol import ErrorEvent, ServerEvent, TranscriptFailed, TranscriptFinal
from bus.contract.errors import HarkenError
from bus.contract.work import Task
from clients.cli.connection_notes import connection_note
from clients.cli.latencies import Latencies
from clients.cli.live_view import View, clock
from clients.cli.media import MediaError
from clients.cli.microphone import MicrophoneError
from clients.cli.outputs import Output
from clients.cli.sources import Source
from clients.cli.writers import TranscriptWriter
from clients.failures import CannotConnect, SessionOver
from clients.sdk import ConnectionChange, LiveSession, connect

FINALS_GRACE_S = 10.0
"""How long an interrupted session waits for the finals of what it has sent."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What every session asks of the service."""

    urls: tuple[str, ...]
    key: str | None = None
    language: str | None = None
    task: Task = "transcribe"
    model: str | None = None
    hotwords: tuple[str, ...] = ()
    prompt: str = ""
    partials: bool = False
    realtime: bool = False
    """Audio is sent no faster than it was spoken."""


@dataclass(slots=True)
class Outcome:
    """How one recording ended."""

    error: str | None = None
    interrupted: bool = False


@dataclass(slots=True)
class Transcription:
    """One recording on its way through one session. `run` it once."""

    part: int
    source: Source
    writer: TranscriptWriter
    output: Output
    view: View
    options: SessionOptions
    latencies: Latencies
    _feed_is_over: bool = False

    async def run(self, stop: asyncio.Event) -> Outcome:
        """Transcribe to the end, or until `stop`: then no more audio goes out and the finals due are awaited.

        Errors end in the outcome, except OSError of the output. On cancellation the document is still closed
        properly.
        """
        outcome = Outcome()
        try:
            await self._run(stop, outcome)
        except (HarkenError, MediaError, MicrophoneError) as error:
            outcome.error = _explain(error)
        finally:
            self.view.closed(self.source.label)
            self.output.finish(self.part)
        if outcome.error is not None:
            self._say(outcome.error)
        return outcome

    async def _run(self, stop: asyncio.Event, outcome: Outcome) -> None:
        async with aclosing(self.source.chunks()) as chunks:
            # The first chunk proves that the source can be read, before the service is asked for a session.
            first = await _unless(stop, _next_chunk(chunks))
            if first is None:
                outcome.interrupted = not self.source.is_live
                return
            if not first:
                raise MediaError("holds no audio")
            async with self._connect() as session:
                self.view.opened(self.source.label)
                self.output.write(self.part, self.writer.opening())
                complete = False
                try:
                    await self._converse(session, first, chunks, stop, outcome)
                    complete = outcome.error is None and not outcome.interrupted
                finally:
                    self.output.write(self.part, self.writer.closing(complete=complete))

    def _connect(self) -> AbstractAsyncContextManager[LiveSession]:
        options = self.options
        return connect(
            options.urls,
            key=options.key,
            audio=self.source.audio,
            language=options.language,
            task=options.task,
            model=options.model,
            hotwords=options.hotwords,
            prompt=options.prompt,
            partials=options.partials,
            on_connection=self._on_connection,
        )

    async def _converse(
        self,
        session: LiveSession,
        first: bytes,
        chunks: AsyncGenerator[bytes, None],
        stop: asyncio.Event,
        outcome: Outcome,
    ) -> None:
        try:
            async with asyncio.timeout(None) as patience:
                sender = asyncio.create_task(self._send(session, first, chunks, stop, outcome))
                stopper = asyncio.create_task(self._on_stop(stop, patience))
                try:
                    async for event in session:
                        self._on_event(event, outcome)
                    if self._feed_is_over:
                        # The end of the session may overtake the return of the call that asked for it.
                        await asyncio.wait([sender])
                finally:
                    stopper.cancel()
                    sender.cancel()
                    await asyncio.wait([sender, stopper])
                    _ = sender.cancelled() or sender.exception()  # seen: a failed session explains itself
        except TimeoutError:
            outcome.interrupted = True
            self._say("the last transcripts did not come in time")
            return
        if not sender.cancelled():
            sender.result()
        elif stop.is_set():
            outcome.interrupted = True
        else:
            raise SessionOver("the session ended before all audio was sent")

    async def _on_stop(self, stop: asyncio.Event, patience: asyncio.Timeout) -> None:
        await stop.wait()
        patience.reschedule(asyncio.get_running_loop().time() + FINALS_GRACE_S)
        if self.source.finish is not None:
            self.source.finish()

    async def _send(
        self,
        session: LiveSession,
        first: bytes,
        chunks: AsyncGenerator[bytes, None],
        stop: asyncio.Event,
        outcome: Outcome,
    ) -> None:
        """Send all audio and end it, whatever comes first: the end, a fault of the source, or `stop`."""
        feed = self._feed(session, first, chunks)
        try:
            if self.source.is_live:
                # It is finished by `_on_stop`; what was said until then still goes out.
                await feed
            else:
                outcome.interrupted = await _unless(stop, feed) is None
        except Exception:
            # Without its end the session would wait for more audio until it is idle, and this with it.
            self._feed_is_over = True
            with suppress(HarkenError):
                await session.end()
            raise
        self._feed_is_over = True
        await session.end()

    async def _feed(self, session: LiveSession, first: bytes, chunks: AsyncGenerator[bytes, None]) -> bool:
        now = asyncio.get_running_loop().time
        bytes_per_s = self.source.bytes_per_s
        began = now() - (len(first) / bytes_per_s if self.source.is_live else 0.0)
        self.latencies.begin(began)
        chunk, sent = first, 0
        while chunk:
            sent += len(chunk)
            if self.options.realtime:
                # A chunk goes out when its last sample has been spoken, as from a microphone.
                await asyncio.sleep(began + sent / bytes_per_s - now())
            await session.send(chunk)
            chunk = await _next_chunk(chunks)
        return True

    def _on_event(self, event: ServerEvent, outcome: Outcome) -> None:
        self.latencies.on_event(event, asyncio.get_running_loop().time())
        self.view.on_event(self.source.label, event)
        match event:
            case TranscriptFinal():
                self.output.write(self.part, self.writer.final(event))
            case TranscriptFailed():
                self.output.write(self.part, self.writer.failed(event))
                span = f"{clock(event.start_s)} to {clock(event.end_s)}"
                outcome.error = f"no transcript from {span}: {event.message} [{event.code}]"
            case ErrorEvent():
                self._say(event.message)
            case _:
                pass

    def _on_connection(self, change: ConnectionChange) -> None:
        note = connection_note(change)
        if note is not None:
            self._say(note)

    def _say(self, text: str) -> None:
        self.view.message(f"{self.source.label}: {text}")


async def transcribe_all(
    transcriptions: Sequence[Transcription], *, at_once: int, stop: asyncio.Event
) -> list[Outcome]:
    """Run all, `at_once` at a time, started in order; outcomes in the same order.

    After `stop` none is started any more. Raises OSError if the output cannot be written; then, and on
    cancellation, all end before this returns.
    """
    places = asyncio.Semaphore(at_once)

    async def run(transcription: Transcription) -> Outcome:
        async with places:
            if stop.is_set():
                transcription.output.finish(transcription.part)
                return Outcome(interrupted=True)
            return await transcription.run(stop)

    tasks = [asyncio.create_task(run(transcription)) for transcription in transcriptions]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _next_chunk(chunks: AsyncGenerator[bytes, None]) -> bytes:
    """Wait for the next chunk; empty at the end."""
    return await anext(chunks, b"")


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, _Result]) -> _Result | None:
    """Give the result of `work`, or cancel it and give None once `stop` is set."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.wait([working, stopping])
    return None if working.cancelled() else working.result()


def _explain(error: Exception) -> str:
    if isinstance(error, CannotConnect):
        return f"{error}. Is the service running? Start it with: harken up"
    return str(error)
