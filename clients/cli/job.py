"""One run of `harken transcribe`, from parsed options to an exit status."""

import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from clients.cli.latencies import Latencies, latency_rows
from clients.cli.live_view import LiveView, QuietView, View
from clients.cli.media import DescriptorReader
from clients.cli.microphone import BLOCK_S, BlockQueue, Microphone
from clients.cli.outputs import DirectoryOutput, NoOutput, Output, StreamOutput, output_paths
from clients.cli.sources import RawFormat, Source, file_source, microphone_source, raw_source, stream_source
from clients.cli.transcription import Outcome, SessionOptions, Transcription, transcribe_all
from clients.cli.writers import SUFFIXES, Format, make_writer

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
STDIN: Final = "-"
_STDIN_DESCRIPTOR = 0
_STDIN_LABEL = "stdin"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """What to read: files, of which one may be `-`, or the microphone."""

    files: tuple[str, ...]
    mic: bool
    device: str | None
    raw_format: RawFormat | None
    rate_hz: int
    raw_channels: int
    separate_channels: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Where transcripts go, and what is shown meanwhile."""

    format: Format
    output: Path | None
    output_dir: Path | None
    live: bool
    """Show running text; only where stderr is a terminal."""
    stats: bool
    jobs: int


async def run_job(inputs: InputOptions, outputs: OutputOptions, options: SessionOptions) -> int:
    """Transcribe all inputs; gives the exit status.

    The first SIGINT or SIGTERM stops the sending, a second cancels this. Raises MicrophoneError, and OSError if
    the output cannot be written.
    """
    waiting = BlockQueue()
    sources = await _sources(inputs, waiting, paced=options.realtime)
    latencies = [Latencies(paced=options.realtime or source.is_live) for source in sources]
    stop = asyncio.Event()
    with (
        _view(outputs, labelled=len(sources) > 1) as view,
        closing(_output(outputs, [source.label for source in sources])) as output,
        _stopped_by_signals(stop, view),
    ):
        transcriptions = [
            Transcription(
                part=part,
                source=source,
                writer=make_writer(
                    outputs.format,
                    label=source.label,
                    channels=2 if inputs.separate_channels else 1,
                    labelled=len(sources) > 1 and outputs.output_dir is None,
                ),
                output=output,
                view=view,
                options=options,
                latencies=latencies[part],
            )
            for part, source in enumerate(sources)
        ]
        outcomes = await transcribe_all(transcriptions, at_once=outputs.jobs, stop=stop)
        if waiting.dropped_blocks:
            view.message(f"microphone: {waiting.dropped_blocks * BLOCK_S:.1f} s were lost: the service takes too long")
        if outputs.stats:
            view.table("latencies", latency_rows(latencies))
    return exit_status(outcomes)


def exit_status(outcomes: Sequence[Outcome]) -> int:
    """Give 1 if anything failed, else 130 if anything was cut short, else 0."""
    if any(outcome.error is not None for outcome in outcomes):
        return EXIT_ERROR
    return EXIT_INTERRUPTED if any(outcome.interrupted for outcome in outcomes) else EXIT_OK


async def _sources(inputs: InputOptions, waiting: BlockQueue, *, paced: bool) -> list[Source]:
    if inputs.mic:
        microphone = await asyncio.to_thread(Microphone.find, inputs.device)
        return [microphone_source(microphone, waiting)]
    return [_file_or_stdin(name, inputs, paced=paced) for name in inputs.files]


def _file_or_stdin(name: str, inputs: InputOptions, *, paced: bool) -> Source:
    if name != STDIN:
        return file_source(Path(name), separate_channels=inputs.separate_channels, paced=paced)
    reader = DescriptorReader(_STDIN_DESCRIPTOR)
    if inputs.raw_format is None:
        return stream_source(reader, label=_STDIN_LABEL, separate_channels=inputs.separate_channels, paced=paced)
    return raw_source(
        reader,
        label=_STDIN_LABEL,
        raw_format=inputs.raw_format,
        rate_hz=inputs.rate_hz,
        channels=inputs.raw_channels,
        separate_channels=inputs.separate_channels,
    )


def _view(outputs: OutputOptions, *, labelled: bool) -> View:
    if not outputs.live:
        return QuietView()
    return LiveView(
        Console(stderr=True),
        shows_finals=_shows_text(outputs) or not _prints_on_terminal(outputs),
        shares_stdout=sys.stdout.isatty(),
        labelled=labelled,
    )


def _shows_text(outputs: OutputOptions) -> bool:
    # Finals that scroll by with their times are the text: written to the same terminal they would appear twice.
    return outputs.live and outputs.format == "text" and _prints_on_terminal(outputs)


def _prints_on_terminal(outputs: OutputOptions) -> bool:
    return outputs.output is None and outputs.output_dir is None and sys.stdout.isatty()


def _output(outputs: OutputOptions, labels: Sequence[str]) -> Output:
    if outputs.output_dir is not None:
        outputs.output_dir.mkdir(parents=True, exist_ok=True)
        return DirectoryOutput(output_paths(outputs.output_dir, labels, SUFFIXES[outputs.format]))
    if outputs.output is not None:
        return StreamOutput(outputs.output.open("w", encoding="utf-8"), owns_stream=True)
    return NoOutput() if _shows_text(outputs) else StreamOutput(sys.stdout)


@contextmanager
def _stopped_by_signals(stop: asyncio.Event, view: View) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    job = asyncio.current_task()

    def on_signal() -> None:
        if not stop.is_set():
            view.message("stopping: waiting for the last transcripts, Ctrl-C again stops now")
            stop.set()
        elif job is not None:
            job.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
