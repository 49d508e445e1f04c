"""`harken transcribe`: recordings, pipes and the microphone through the service."""

import asyncio
import sys
from pathlib import Path
from typing import Final, get_args

import click

from clients.cli.job import EXIT_INTERRUPTED, STDIN, InputOptions, OutputOptions, run_job
from clients.cli.microphone import MicrophoneError
from clients.cli.sources import RawFormat
from clients.cli.transcription import SessionOptions
from clients.cli.writers import Format

DEFAULT_URL = "ws://127.0.0.1:8080/v1/stream"
_SHARED_STREAM_FORMATS: Final = ("text", "jsonl")


@click.command(
    epilog="Exit status: 0 all transcribed (a microphone stopped by Ctrl-C included), 1 something failed, 2 wrong"
    " usage, 130 interrupted."
)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--mic", is_flag=True, help="Record from the microphone until Ctrl-C.")
@click.option("--device", metavar="NAME|NUMBER", help="Microphone to record from; default: the system's.")
@click.option(
    "--url",
    "urls",
    envvar="HARKEN_URL",
    multiple=True,
    default=(DEFAULT_URL,),
    show_default=True,
    show_envvar=True,
    help="Service address; several, repeated or with commas between, are tried in turn.",
)
@click.option("--key", envvar="HARKEN_API_KEY", show_envvar=True, help="API key, if the service wants one.")
@click.option("--language", metavar="CODE", help="Language spoken, such as en; default: detect it.")
@click.option("--translate", is_flag=True, help="Translate to English.")
@click.option("--model", help="Model to use; default: the service's.")
@click.option("--hotwords", multiple=True, metavar="WORDS", help="Words to expect, comma separated; may be repeated.")
@click.option("--prompt", default="", help="Text that came before, as context.")
@click.option(
    "--channels",
    type=click.Choice(["mix", "separate"]),
    default="mix",
    show_default=True,
    help="Mix all channels, or transcribe the two of a stereo recording apart.",
)
@click.option("--raw-format", type=click.Choice(get_args(RawFormat)), help="Standard input is bare samples.")
@click.option(
    "--rate",
    type=click.IntRange(8_000, 48_000),
    default=16_000,
    show_default=True,
    help="Sample rate of --raw-format.",
)
@click.option(
    "--raw-channels",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="Channels of --raw-format, interleaved.",
)
@click.option("--realtime", is_flag=True, help="Send audio no faster than it was spoken.")
@click.option(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(get_args(Format)),
    default="text",
    show_default=True,
    help="Format of the transcript.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File instead of stdout.")
@click.option("--output-dir", type=click.Path(file_okay=False, path_type=Path), help="One file per input, in here.")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Files at once.")
@click.option("--live/--no-live", default=True, help="Show text while it is spoken, if stderr is a terminal.")
@click.option("--stats", is_flag=True, help="Show how late the text came.")
@click.pass_context
def transcribe(
    ctx: click.Context,
    *,
    files: tuple[str, ...],
    mic: bool,
    device: str | None,
    urls: tuple[str, ...],
    key: str | None,
    language: str | None,
    translate: bool,
    model: str | None,
    hotwords: tuple[str, ...],
    prompt: str,
    channels: str,
    raw_format: RawFormat | None,
    rate: int,
    raw_channels: int,
    realtime: bool,
    output_format: Format,
    output: Path | None,
    output_dir: Path | None,
    jobs: int,
    live: bool,
    stats: bool,
) -> None:
    """Transcribe audio files of any format, standard input (-) or the microphone.

    Text is written as it becomes final. Ctrl-C stops the sending and waits for the finals of what was sent; a
    second Ctrl-C stops at once.
    """
    inputs = InputOptions(
        files=files,
        mic=mic,
        device=device,
        raw_format=raw_format,
        rate_hz=rate,
        raw_channels=raw_channels,
        separate_channels=channels == "separate",
    )
    outputs = OutputOptions(
        format=output_format,
        output=output,
        output_dir=output_dir,
        live=live and sys.stderr.isatty(),
        stats=stats,
        jobs=jobs,
    )
    check_usage(inputs, outputs)
    options = SessionOptions(
        urls=urls,
        key=key,
        language=language,
        task="translate" if translate else "transcribe",
        model=model,
        hotwords=split_hotwords(hotwords),
        prompt=prompt,
        partials=outputs.live or stats,
        realtime=realtime,
    )
    ctx.exit(_run(inputs, outputs, options))


def split_hotwords(groups: tuple[str, ...]) -> tuple[str, ...]:
    """Give the words of all groups, each of which may hold several with commas between."""
    return tuple(word for group in groups for part in group.split(",") if (word := part.strip()))


def check_usage(inputs: InputOptions, outputs: OutputOptions) -> None:
    """Raise UsageError for options that contradict one another."""
    if inputs.mic == bool(inputs.files):
        raise click.UsageError("give audio files, - for standard input, or --mic")
    if inputs.device is not None and not inputs.mic:
        raise click.UsageError("--device goes with --mic")
    if inputs.mic and inputs.separate_channels:
        raise click.UsageError("--mic records one channel: --channels separate does not apply")
    if inputs.files.count(STDIN) > 1:
        raise click.UsageError("standard input can be read only once")
    if inputs.raw_format is not None and inputs.files != (STDIN,):
        raise click.UsageError("--raw-format describes standard input: give - as the only file")
    if inputs.raw_format is not None and inputs.separate_channels and inputs.raw_channels != 2:
        raise click.UsageError("--channels separate wants --raw-channels 2")
    if outputs.output is not None and outputs.output_dir is not None:
        raise click.UsageError("--output and --output-dir exclude one another")
    if len(inputs.files) > 1 and outputs.output_dir is None and outputs.format not in _SHARED_STREAM_FORMATS:
        raise click.UsageError(f"several files as {outputs.format} need --output-dir")


def _run(inputs: InputOptions, outputs: OutputOptions, options: SessionOptions) -> int:
    try:
        return asyncio.run(run_job(inputs, outputs, options))
    except asyncio.CancelledError:
        return EXIT_INTERRUPTED
    except MicrophoneError as error:
        raise click.ClickException(str(error)) from error
    except BrokenPipeError:
        raise  # whoever read stdout has enough: click ends the process without a word
    except OSError as error:
        raise click.ClickException(f"the transcript cannot be written: {error.strerror or error}") from error
