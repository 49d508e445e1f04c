"""Word error rate: streamed through the service against faster-whisper offline, same weights, same run.

Prints a table and one JSON line. `python -m benchmarks.accuracy --help`
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import click
from faster_whisper import WhisperModel
from rich.console import Console
from rich.table import Table

from benchmarks.playback import Played, play
from benchmarks.recordings import Recording, english_read, load
from benchmarks.scoring import word_error_rate
from benchmarks.service import service
from benchmarks.streaming import DEFAULT_SPEECH
from bus.runtime.model_store.store import default_cache_dir, resolve


@click.command()
@click.option("--url", help="Service to measure; by default one is started and stopped.")
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
@click.option("--sessions", type=int, default=4, show_default=True, help="Recordings at a time.")
@click.option("--speed", type=float, help="Times real time; by default as fast as the service takes it.")
@click.option("--limit", type=int, help="Use only the first so many recordings.")
def main(url: str | None, speech: Path, sessions: int, speed: float | None, limit: int | None) -> None:
    """Measure accuracy on English read speech and scenarios."""
    recordings = english_read(load(speech))[:limit]
    streamed = asyncio.run(_stream(url, recordings, sessions, speed))
    offline = _offline(recordings)
    texts = [one.text for one in recordings]
    row = {
        "recordings": len(recordings),
        "streamed WER": word_error_rate(texts, [one.text for one in streamed]),
        "offline WER": word_error_rate(texts, offline),
        "errors": sum(1 for one in streamed if one.error),
    }
    row["difference in points"] = 100 * (row["streamed WER"] - row["offline WER"])
    table = Table(title="English read and scenario recordings")
    for name in row:
        table.add_column(name, justify="right")
    table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=140).print(table)
    print(json.dumps({"benchmark": "accuracy", **row}))


async def _stream(url: str | None, recordings: Sequence[Recording], sessions: int, speed: float | None) -> list[Played]:
    gate = asyncio.Semaphore(sessions)

    async def one(address: str, recording: Recording) -> Played:
        async with gate:
            return await play(address, recording.pcm(), speed=speed)

    async with service(url) as (address, _):
        return list(await asyncio.gather(*(one(address, recording) for recording in recordings)))


def _offline(recordings: Sequence[Recording]) -> list[str]:
    path = resolve("base", cache_dir=default_cache_dir())
    model = WhisperModel(str(path), device="cpu", compute_type="int8")
    return [
        " ".join(
            segment.text for segment in model.transcribe(str(one.path), beam_size=1, temperature=0, language="en")[0]
        )
        for one in recordings
    ]


if __name__ == "__main__":
    main()
