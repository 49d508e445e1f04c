"""Latency in real time: N concurrent clients play recordings, staggered, against any URL.

Prints a table and one JSON line. `python -m benchmarks.streaming --help`
"""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.playback import Played, play
from benchmarks.recordings import Recording, load, scenarios
from benchmarks.scoring import latencies, percentile, revisions, word_error_rate
from benchmarks.service import service

DEFAULT_SPEECH = Path(os.environ.get("HARKEN_SPEECH_DATA", "../shared/speech/dev"))
_STAGGER_S = 1.7
_RANKS = (50, 95, 99)


@click.command()
@click.option("--url", help="Service to measure; by default one is started and stopped.")
@click.option("--sessions", default="1,4", show_default=True, help="Numbers of concurrent clients, one round each.")
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
@click.option("--limit", type=int, help="Use only the first so many recordings.")
def main(url: str | None, sessions: str, speech: Path, limit: int | None) -> None:
    """Measure how late text comes, on the scenario recordings."""
    recordings = scenarios(load(speech))[:limit]
    rows = asyncio.run(_measure(url, [int(one) for one in sessions.split(",")], recordings))
    table = Table(title="seconds after the true end (or start) of speech")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=200).print(table)
    print(json.dumps({"benchmark": "streaming", "recordings": len(recordings), "rows": rows}))


async def _measure(url: str | None, rounds: Sequence[int], recordings: Sequence[Recording]) -> list[dict[str, object]]:
    async with service(url) as (address, _):
        return [await _round(address, clients, recordings) for clients in rounds]


async def _round(url: str, clients: int, recordings: Sequence[Recording]) -> dict[str, object]:
    """Every recording once, `clients` of them at any time."""
    queue = list(recordings)
    done: list[tuple[Recording, Played]] = []

    async def client(number: int) -> None:
        await asyncio.sleep(number * _STAGGER_S)
        while queue:
            recording = queue.pop(0)
            done.append((recording, await play(url, recording.pcm(), speed=1.0, language=recording.language)))

    await asyncio.gather(*(client(number) for number in range(clients)))
    return _row(clients, done)


def _row(clients: int, done: Sequence[tuple[Recording, Played]]) -> dict[str, object]:
    measured = [one for recording, played in done for one in latencies(recording, played)]
    finals = [one.final_s for one in measured if one.final_s is not None]
    sights = [one.first_sight_s for one in measured if one.first_sight_s is not None]
    partials = [one.first_partial_s for one in measured if one.first_partial_s is not None]
    shown, changed, stable_changed = (sum(column) for column in zip(*(revisions(p) for _, p in done), strict=True))
    english = [(recording, played) for recording, played in done if recording.language == "en"]
    totals = [final.times.total_s for _, played in done for _, final in played.finals]
    return {
        "sessions": clients,
        "utterances": len(measured),
        "lost": sum(1 for one in measured if one.final_s is None),
        "errors": sum(1 for _, played in done if played.error),
        **{f"final p{rank}": percentile(finals, rank) for rank in _RANKS},
        "last word seen p50": percentile(sights, 50),
        "first partial p50": percentile(partials, 50),
        "first partial p95": percentile(partials, 95),
        "server total p50": percentile(totals, 50),
        "revised": changed / max(1, shown),
        "stable revised": stable_changed / max(1, shown),
        "English WER": word_error_rate([one.text for one, _ in english], [played.text for _, played in english]),
    }


if __name__ == "__main__":
    main()
