"""Overhead of bus and gateway: what a final takes besides the wait for the end of speech and its decode.

Prints tables and one JSON line. `python -m benchmarks.overhead --help`
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from benchmarks.bars import Bar, bar_row
from benchmarks.playback import Played, play_all
from benchmarks.recordings import DEFAULT_SPEECH, Recording, load, select
from benchmarks.report import Row, show_json, show_lines, show_table
from benchmarks.scoring import percentile
from benchmarks.service import service
from benchmarks.stages import Passing, stages
from bus.contract import subjects
from bus.contract.work import decode_request, decode_result
from bus.control.probes import free_port
from bus.transport.connection import BusConnection

_BAR = Bar("overhead of a final, p50", 0.010)
_RANKS = (50, 95)
_STAGGER_S = 1.7
_LOOPBACK = "127.0.0.1"
_ALL_INBOXES = "inbox.gw.>"
_STAGES = {
    "overhead_s": "overhead",
    "answer_s": "- answer",
    "store_s": "- store",
    "socket_s": "- socket",
    "queue_s": "way: queue",
    "features_s": "way: features",
    "batch_wait_s": "way: batch wait",
    "worker_s": "way: worker",
    "gateway_s": "way: gateway",
    "model_s": "encode and decode",
}


@dataclass(slots=True)
class Tap:
    """Listens on the broker to what belongs to finals, and notes when it passed."""

    passings: defaultdict[tuple[str, int], Passing] = field(default_factory=lambda: defaultdict(Passing))

    def on_request(self, subject: str, data: bytes) -> None:
        """A gateway asks for a final."""
        request = decode_request(data)
        self.passings[request.session, request.segment].on_request(request.window, time.monotonic())

    def on_result(self, subject: str, data: bytes) -> None:
        """A worker answers."""
        result = decode_result(data)
        if result.kind == "final":
            self.passings[result.session, result.segment].on_result(result, time.monotonic())


@dataclass(frozen=True, slots=True)
class Case:
    """One column of the table."""

    engine: str
    endpoint_s: float


@click.command()
@click.option("--engines", default="scripted,faster-whisper", show_default=True, help="Engines of the worker.")
@click.option(
    "--endpoints",
    default="0.5,0.2",
    show_default=True,
    help="Silence that ends an utterance; at 0.2 s all but 64 ms of the way of a tentative final is waited for.",
)
@click.option("--sessions", default=1, show_default=True, help="Concurrent clients.")
@click.option("--limit", default=4, show_default=True, help="Use only the first so many scenario recordings.")
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
def main(engines: str, endpoints: str, sessions: int, limit: int, speech: Path) -> None:
    """Measure what bus and gateway add to a final, with the scripted engine and with the real one."""
    recordings = select(load(speech), "scenario")[:limit]
    cases = [Case(engine, float(endpoint)) for engine in engines.split(",") for endpoint in endpoints.split(",")]
    rows = asyncio.run(_measure(cases, recordings, sessions))
    show_table("seconds of a final", rows)
    bars = [
        {"case": f"{row['engine']}, {row['endpoint']}", **bar_row(_BAR, float(row["overhead p50"]))} for row in rows
    ]
    show_lines("bars", bars)
    show_json("overhead", {"sessions": sessions, "recordings": len(recordings), "cases": rows, "bars": bars})


async def _measure(cases: Sequence[Case], recordings: Sequence[Recording], sessions: int) -> list[Row]:
    rows = []
    for case in cases:
        port = free_port(_LOOPBACK)
        async with service(None, "--nats-port", str(port), settings={"HARKEN_ASR_ENGINE": case.engine}) as (url, _):
            async with _tapped(f"nats://{_LOOPBACK}:{port}") as tap:
                played = await play_all(
                    url, recordings, at_once=sessions, speed=1.0, stagger_s=_STAGGER_S, endpoint_s=case.endpoint_s
                )
            rows.append(_row(case, played, tap))
    return rows


@asynccontextmanager
async def _tapped(nats_url: str) -> AsyncIterator[Tap]:
    bus = await BusConnection.connect(nats_url, name="harken-benchmark", inbox_prefix="_INBOX_benchmark")
    try:
        tap = Tap()
        await bus.subscribe(subjects.ASR_FINAL_ALL, tap.on_request)
        await bus.subscribe(_ALL_INBOXES, tap.on_result)
        await bus.flush()
        yield tap
    finally:
        await bus.aclose()


def _row(case: Case, played: Sequence[Played], tap: Tap) -> Row:
    taken = [one for done in played for one in stages(done, tap.passings)]
    row: dict[str, float | int | str] = {
        "engine": case.engine,
        "endpoint": f"{case.endpoint_s:g} s",
        "finals": len(taken),
        "of them tentative": sum(1 for one in taken if one.is_tentative),
        "sessions with an error": sum(1 for done in played if done.error),
    }
    for name in _STAGES:
        values = [getattr(one, name) for one in taken]
        row |= {f"{_STAGES[name]} p{rank}": percentile(values, rank) for rank in _RANKS}
    return row


if __name__ == "__main__":
    main()
