"""Word error rate: streamed through the service against faster-whisper offline, same weights, same run.

Prints a table and one JSON line. `python -m benchmarks.accuracy --help`
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.offline import transcribe_offline
from benchmarks.playback import Played, play_all
from benchmarks.recordings import DEFAULT_SPEECH, SETS, Recording, load, select
from benchmarks.report import Row, show_json, show_lines
from benchmarks.scoring import Errors, count_errors, total
from benchmarks.service import service

_GROUPS = ("non-native", "child", "noisy-sim", "noisy-real-mix", "librispeech", "vctk", "command")
_WORST = 8


@click.command()
@click.option("--url", help="Service to measure; by default one is started and stopped.")
@click.option("--recordings", "sets", default="read,scenario", show_default=True, help=f"Of {', '.join(SETS)}.")
@click.option("--language", default="en", show_default=True, help="Only recordings in this language.")
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
@click.option("--sessions", type=int, default=4, show_default=True, help="Recordings at a time.")
@click.option("--speed", type=float, help="Times real time; by default as fast as the service takes it.")
@click.option("--limit", type=int, help="Use only the first so many recordings.")
def main(
    url: str | None, sets: str, language: str, speech: Path, sessions: int, speed: float | None, limit: int | None
) -> None:
    """Measure accuracy, by default on English read speech and scenarios."""
    recordings = [one for one in select(load(speech), sets) if one.language == language][:limit]
    played = asyncio.run(_play(url, recordings, sessions, speed))
    streamed = [_errors(one, done.text) for one, done in zip(recordings, played, strict=True)]
    offline = [_errors(one, text) for one, text in zip(recordings, transcribe_offline(recordings), strict=True)]
    rows = _rows(recordings, streamed, offline)
    show_lines("error rates in per cent of the words, by set", rows)
    worse = sorted(
        zip(recordings, streamed, offline, strict=True), key=lambda row: row[2].wrong - row[1].wrong
    )  # most lost first
    show_lines("most words lost against offline", [_wrong_words(*row) for row in worse[:_WORST]])
    failed = [{"id": one.id, "error": done.error} for one, done in zip(recordings, played, strict=True) if done.error]
    show_json("accuracy", {"recordings": len(recordings), "failed": failed, "sets": rows})


async def _play(url: str | None, recordings: Sequence[Recording], sessions: int, speed: float | None) -> list[Played]:
    async with service(url) as (address, _):
        return await play_all(address, recordings, at_once=sessions, speed=speed, partials=speed is not None)


def _errors(recording: Recording, text: str) -> Errors:
    return count_errors(recording.text, text, recording.language)


def _rows(recordings: Sequence[Recording], streamed: Sequence[Errors], offline: Sequence[Errors]) -> list[Row]:
    groups = [_group(one) for one in recordings]
    return [
        _row(
            name,
            [one for one, group in zip(streamed, groups, strict=True) if name in ("all", group)],
            [one for one, group in zip(offline, groups, strict=True) if name in ("all", group)],
        )
        for name in ["all", *sorted(set(groups))]
    ]


def _group(recording: Recording) -> str:
    kind = "scenario" if "scenario" in recording.tags else recording.kind
    return " ".join([kind, *(tag for tag in _GROUPS if tag in recording.tags)])


def _row(name: str, streamed: Sequence[Errors], offline: Sequence[Errors]) -> Row:
    here, there = total(streamed), total(offline)
    return {
        "set": name,
        "recordings": len(streamed),
        "words": here.said,
        "streamed": 100 * here.rate,
        "offline": 100 * there.rate,
        "points above offline": 100 * (here.rate - there.rate),
    }


def _wrong_words(recording: Recording, streamed: Errors, offline: Errors) -> Row:
    return {
        "recording": recording.id,
        "words": streamed.said,
        "wrong streamed": streamed.wrong,
        "wrong offline": offline.wrong,
    }


if __name__ == "__main__":
    main()
