"""Jobs of `harken transcribe` with what they show and write, and the sources they read."""

import asyncio
import io
from collections.abc import AsyncGenerator, Callable, Sequence
from types import TracebackType
from typing import Self

from bus.contract.client_protocol import AudioFormat, ServerEvent
from clients.cli.latencies import Latencies
from clients.cli.microphone import BlockQueue
from clients.cli.outputs import StreamOutput
from clients.cli.sources import Source
from clients.cli.transcription import Outcome, SessionOptions, Transcription, transcribe_all
from clients.cli.writers import make_writer
from tests.unit.clients.stub_service import Behaviour, StubService

PATIENCE_S = 10.0
SECOND = bytes(32_000)


class Screen:
    """A view that remembers its messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.events: list[ServerEvent] = []
        self.changed = asyncio.Event()
        self.said = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def opened(self, label: str) -> None:
        pass

    def on_event(self, label: str, event: ServerEvent) -> None:
        self.events.append(event)
        self.changed.set()

    def closed(self, label: str) -> None:
        pass

    def message(self, text: str) -> None:
        self.messages.append(text)
        self.said.set()

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        pass


def pieces(*chunks: bytes, fault: Exception | None = None) -> Callable[[], AsyncGenerator[bytes, None]]:
    async def give() -> AsyncGenerator[bytes, None]:
        for chunk in chunks:
            yield chunk
        if fault is not None:
            raise fault

    return give


async def endless() -> AsyncGenerator[bytes, None]:
    yield SECOND
    await asyncio.Event().wait()


async def silent() -> AsyncGenerator[bytes, None]:
    await asyncio.Event().wait()
    yield b""


class Bench:
    """One job with its screen and its paper."""

    def __init__(self, url: str, *sources: Source, realtime: bool = False) -> None:
        self.screen = Screen()
        self.paper = io.StringIO()
        self.stop = asyncio.Event()
        self.latencies = [Latencies(paced=realtime) for _ in sources]
        output = StreamOutput(self.paper)
        self.transcriptions = [
            Transcription(
                part=part,
                source=source,
                writer=make_writer("text", label=source.label, labelled=len(sources) > 1),
                output=output,
                view=self.screen,
                options=SessionOptions(urls=(url,), realtime=realtime),
                latencies=self.latencies[part],
            )
            for part, source in enumerate(sources)
        ]

    async def run(self, *, at_once: int = 4) -> list[Outcome]:
        async with asyncio.timeout(PATIENCE_S):
            return await transcribe_all(self.transcriptions, at_once=at_once, stop=self.stop)


def source(chunks: Callable[[], AsyncGenerator[bytes, None]], *, label: str = "a") -> Source:
    return Source(label, AudioFormat(), chunks)


def live_source(waiting: BlockQueue) -> Source:
    async def give() -> AsyncGenerator[bytes, None]:
        while (block := await waiting.take()) is not None:
            yield block

    return Source("a", AudioFormat(), give, finish=waiting.stop)


async def run_one(behaviour: Behaviour, chunks: Callable[[], AsyncGenerator[bytes, None]]) -> tuple[Outcome, Bench]:
    async with StubService(behaviour) as service:
        bench = Bench(service.url, source(chunks))
        return (await bench.run())[0], bench
