"""Latency in real time: N concurrent clients play recordings, staggered, against any URL.

Prints tables and one JSON line. `python -m benchmarks.streaming --help`
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Final

import click
import msgspec

from benchmarks.bars import Bar, bar_row
from benchmarks.offline import transcribe_offline
from benchmarks.playback import Played, play_all
from benchmarks.recordings import DEFAULT_SPEECH, SETS, Recording, load, select
from benchmarks.report import Row, show_json, show_lines, show_table
from benchmarks.scoring import count_errors, percentile, total
from benchmarks.service import service
from benchmarks.timing import Heard, Revisions, heard, merged, revisions
from bus.contract.client_protocol import StageTimes

_RANKS = (50, 95, 99)
_SLOWEST = 8
_EACH = 2
"""Recordings that each client plays at least, so that all of them speak at once for a while."""
_BARS: Final[Mapping[int, Sequence[Bar]]] = {
    1: (Bar("final p50", 0.75), Bar("final p95", 1.1), Bar("first partial p50", 0.8)),
    4: (Bar("final p95", 1.3),),
    8: (Bar("final p95", 2.0),),
}
"""By the number of clients."""
_BARS_OF_ALL = (Bar("utterances lost", 0), Bar("sessions with an error", 0), Bar("stable words that changed", 0.02))


@click.command()
@click.option("--url", help="Service to measure; by default one is started and stopped.")
@click.option("--sessions", default="1,4,8", show_default=True, help="Numbers of concurrent clients, one round each.")
@click.option("--recordings", "sets", default="scenario", show_default=True, help=f"Of {', '.join(SETS)}.")
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
@click.option("--detect", is_flag=True, help="Let the service detect the language instead of naming it.")
@click.option("--offline", is_flag=True, help="Decode the same files offline too, for the word error rate.")
@click.option("--limit", type=int, help="Use only the first so many recordings.")
@click.option(
    "--stagger-s",
    default=1.7,
    show_default=True,
    help="Between the starts of two clients; no divisor of usual utterance lengths, so that they are out of step.",
)
def main(
    url: str | None,
    sessions: str,
    sets: str,
    speech: Path,
    detect: bool,
    offline: bool,
    limit: int | None,
    stagger_s: float,
) -> None:
    """Measure how late text comes, by default on the scenario recordings."""
    recordings = select(load(speech), sets)[:limit]
    rounds = [(int(one), enough(recordings, int(one))) for one in sessions.split(",")]
    played = asyncio.run(_play(url, rounds, detect=detect, stagger_s=stagger_s))
    rows = [_latency_row(clients, planned, done) for (clients, planned), done in zip(rounds, played, strict=True)]
    stages = [_stage_row(clients, done) for (clients, _), done in zip(rounds, played, strict=True)]
    bars = [bar for row in rows for bar in bar_rows(row)]
    show_table("seconds after the true start or end of speech, as a client sees them", rows)
    show_table("where the time of a final goes, in seconds, as the service says", stages)
    for (clients, planned), done in zip(rounds, played, strict=True):
        show_lines(f"slowest finals of {clients} sessions, in seconds", _slowest(planned, done))
    show_lines("bars", bars)
    figures: dict[str, object] = {"recordings": len(recordings), "rounds": rows, "stages": stages, "bars": bars}
    if offline:
        reference = _word_error_rate(recordings, transcribe_offline(recordings))
        print(f"offline WER of the same files: {reference:.4f}")
        figures["offline_wer"] = reference
    show_json("streaming", figures)


def enough(recordings: Sequence[Recording], clients: int) -> list[Recording]:
    """All recordings, repeated until every client has some to play."""
    return [*recordings] * max(1, ceil(_EACH * clients / len(recordings)))


async def _play(
    url: str | None, rounds: Sequence[tuple[int, Sequence[Recording]]], *, detect: bool, stagger_s: float
) -> list[list[Played]]:
    async with service(url) as (address, _):
        return [
            await play_all(
                address, recordings, at_once=clients, speed=1.0, stagger_s=stagger_s, name_language=not detect
            )
            for clients, recordings in rounds
        ]


def bar_rows(row: Row) -> Iterator[Row]:
    """The figures of a round that are held to a bar."""
    for bar in (*_BARS.get(int(row["sessions"]), ()), *_BARS_OF_ALL):
        yield {"sessions": row["sessions"], **bar_row(bar, float(row[bar.figure]))}


def _latency_row(clients: int, recordings: Sequence[Recording], played: Sequence[Played]) -> Row:
    pairs = list(zip(recordings, played, strict=True))
    rows = [one for recording, done in pairs for one in heard(recording, done)]
    changes = sum((revisions(done, recording.language) for recording, done in pairs), Revisions())
    return {
        "sessions": clients,
        "utterances": len(rows),
        "utterances lost": sum(1 for one in rows if one.parts == 0),
        "sessions with an error": sum(1 for done in played if done.error),
        **_ranks("final", [one.final_s for one in rows]),
        **_ranks("last word settled", [one.settled_s for one in rows]),
        **_ranks("last word seen", [one.sight_s for one in rows]),
        **_ranks("first partial", [one.first_partial_s for one in rows]),
        "words shown that changed": changes.changed / max(1, changes.shown),
        "stable words that changed": changes.stable_changed / max(1, changes.stable),
        "cut where nobody paused": _cuts(rows, excusable=False),
        "cut at a long pause": _cuts(rows, excusable=True),
        "finals with two utterances": sum(merged(recording, done) for recording, done in pairs),
        "English WER": _word_error_rate(recordings, [done.text for done in played]),
    }


def _cuts(rows: Sequence[Heard], *, excusable: bool) -> int:
    return sum(max(0, one.parts - 1) for one in rows if one.excusable is excusable)


def _stage_row(clients: int, played: Sequence[Played]) -> Row:
    times = [final.times for done in played for _, final in done.finals]
    row: dict[str, float | int | str] = {"sessions": clients, "finals": len(times)}
    for field in msgspec.structs.fields(StageTimes):
        row |= _ranks(field.name.removesuffix("_s"), [getattr(one, field.name) for one in times])
    return row


def _slowest(recordings: Sequence[Recording], played: Sequence[Played]) -> list[Row]:
    finals = [(one.id, final) for one, done in zip(recordings, played, strict=True) for _, final in done.finals]
    finals.sort(key=lambda pair: pair[1].times.total_s, reverse=True)
    return [
        {
            "recording": name,
            "segment": final.segment,
            "length": final.end_s - final.start_s,
            "words": len(final.words),
            **{name.removesuffix("_s"): value for name, value in msgspec.structs.asdict(final.times).items()},
        }
        for name, final in finals[:_SLOWEST]
    ]


def _ranks(name: str, values: Sequence[float | None]) -> dict[str, float]:
    known = [one for one in values if one is not None]
    return {f"{name} p{rank}": percentile(known, rank) for rank in _RANKS}


def _word_error_rate(recordings: Sequence[Recording], texts: Sequence[str]) -> float:
    return total(
        count_errors(one.text, text) for one, text in zip(recordings, texts, strict=True) if one.language == "en"
    ).rate


if __name__ == "__main__":
    main()
