"""Scaling out: what more worker processes hold against one, at equal threads in all.

Prints tables and one JSON line. `python -m benchmarks.scaling --help`
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.bars import Bar, bar_row
from benchmarks.bisection import most_held, next_trial
from benchmarks.playback import play_all
from benchmarks.recordings import DEFAULT_SPEECH, Recording, load, select
from benchmarks.report import Row, show_json, show_lines
from benchmarks.scoring import percentile
from benchmarks.service import service
from benchmarks.timing import heard

_HOLDS_P95_S = 3.0
_RAMP_S = 5.0
"""Within this time all clients of a trial begin: shorter than any recording, so that all speak at once."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What some sessions saw with some worker processes."""

    workers: int
    sessions: int
    finals_s: tuple[float, ...]
    """End of speech until its final, of each utterance that has one."""
    first_partials_s: tuple[float, ...]
    """Start of speech until its first words, of each utterance that was shown any before its final."""
    lost: int
    errors: int

    @property
    def holds(self) -> bool:
        """Nothing is lost, and finals come in time."""
        return not (self.lost or self.errors) and percentile(self.finals_s, 95) <= _HOLDS_P95_S

    def row(self) -> Row:
        """One line of a table."""
        return {
            "workers": self.workers,
            "sessions": self.sessions,
            "utterances": len(self.finals_s) + self.lost,
            "lost": self.lost,
            "errors": self.errors,
            **{f"final p{rank}": percentile(self.finals_s, rank) for rank in (50, 95)},
            "first partial p50": percentile(self.first_partials_s, 50),
            "held": "yes" if self.holds else "no",
        }


@click.command()
@click.option("--workers", default="1,2", show_default=True, help="Numbers of worker processes.")
@click.option("--threads", type=int, help="Decoding threads of all workers together; by default one a core.")
@click.option("--sessions", default=8, show_default=True, help="Clients of the comparison at equal load; 0 skips it.")
@click.option("--rounds", default=1, show_default=True, help="How often that is repeated, in turn.")
@click.option("--search/--no-search", default=True, show_default=True, help="Find the most sessions that are held.")
@click.option("--limit", default=32, show_default=True, help="Most sessions that the search tries.")
@click.option("--each", default=2, show_default=True, help="Recordings that each client plays, one after the other.")
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
def main(
    workers: str, threads: int | None, sessions: int, rounds: int, search: bool, limit: int, each: int, speech: Path
) -> None:
    """Compare numbers of worker processes, by default one and two.

    Sessions are held if no utterance is lost and 95 of 100 finals come within 3 s after the end of speech.
    """
    counts = [int(one) for one in workers.split(",")]
    bench = Bench(select(load(speech), "scenario"), threads or len(os.sched_getaffinity(0)), each)
    trials = asyncio.run(bench.at_equal_load(counts, sessions, rounds)) if sessions else []
    show_lines(f"{sessions} sessions, {bench.threads} threads in all", [one.row() for one in trials])
    figures: dict[str, object] = {"threads": bench.threads, "at_equal_load": [one.row() for one in trials]}
    if search:
        figures |= _search(bench, counts, start=sessions or 8, limit=limit)
    show_json("scaling", figures)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trials have in common."""

    recordings: Sequence[Recording]
    threads: int
    each: int

    async def at_equal_load(self, counts: Sequence[int], sessions: int, rounds: int) -> list[Trial]:
        """The same number of sessions with each number of workers, in turn."""
        trials = []
        for count in [*counts] * rounds:
            async with service(None, *_flags(count), settings=self._settings(count)) as (url, _):
                trials.append(await self._trial(url, count, sessions))
        return trials

    async def search(self, count: int, *, start: int, limit: int) -> list[Trial]:
        """All trials that it took to find the most sessions held with `count` workers."""
        trials: list[Trial] = []
        async with service(None, *_flags(count), settings=self._settings(count)) as (url, _):
            while True:
                held = {one.sessions: one.holds for one in trials}
                sessions = next_trial(held, start=start, limit=limit)
                if sessions is None:
                    return trials
                trials.append(await self._trial(url, count, sessions))

    def _settings(self, count: int) -> dict[str, str]:
        return {"HARKEN_ASR_THREADS": str(max(1, self.threads // count))}

    async def _trial(self, url: str, count: int, sessions: int) -> Trial:
        recordings = [self.recordings[number % len(self.recordings)] for number in range(sessions * self.each)]
        played = await play_all(url, recordings, at_once=sessions, speed=1.0, stagger_s=_RAMP_S / sessions)
        rows = [row for one, done in zip(recordings, played, strict=True) for row in heard(one, done)]
        return Trial(
            workers=count,
            sessions=sessions,
            finals_s=tuple(row.final_s for row in rows if row.final_s is not None),
            first_partials_s=tuple(row.first_partial_s for row in rows if row.first_partial_s is not None),
            lost=sum(1 for row in rows if row.final_s is None),
            errors=sum(1 for done in played if done.error),
        )


def _search(bench: Bench, counts: Sequence[int], *, start: int, limit: int) -> dict[str, object]:
    """Search with each number of workers, show it all, and return the figures."""
    trials: list[Trial] = []
    held = []
    for count in counts:
        tried = asyncio.run(bench.search(count, start=start, limit=limit))
        trials += tried
        held.append(most_held({one.sessions: one.holds for one in tried}))
    bars = [
        bar_row(
            Bar(f"sessions held with {count} workers against {counts[0]}", 0.9, at_least=True),
            most / held[0] if held[0] else float("nan"),
        )
        for count, most in zip(counts[1:], held[1:], strict=True)
    ]
    show_lines("search for the most sessions that are held", [one.row() for one in trials])
    most = [{"workers": count, "sessions held": most} for count, most in zip(counts, held, strict=True)]
    show_lines("most sessions held", most)
    show_lines("bars", bars)
    return {"trials": [one.row() for one in trials], "most": most, "bars": bars}


def _flags(count: int) -> tuple[str, ...]:
    return ("--asr-workers", str(count))


if __name__ == "__main__":
    main()
