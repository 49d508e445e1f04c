"""Twenty times more people than a pool can serve: those inside are served in time, the others told at once.

A service of its own with one gateway and one worker, whose scripted engine takes a set time for each window. Prints
tables and one JSON line. `python -m benchmarks.overload --help`
"""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import click
import soundfile

from benchmarks.bars import Bar, bar_row
from benchmarks.crowd import Crowd, Seen
from benchmarks.load import frames_of
from benchmarks.report import Row, show_json, show_lines, show_table
from benchmarks.scoring import percentile
from benchmarks.service import service

_SAMPLE = Path(__file__).parents[1] / "samples" / "austen.flac"
_RATE_HZ = 16_000
_LOOK_EVERY_S = 0.25
_RECOVERED_FOR_S = 5.0
_RECOVERY_PATIENCE_S = 90.0
_BARS = (
    Bar("final p95", 3.0),
    Bar("refused within p95", 0.1),
    Bar("sessions broken", 0),
    Bar("crashes", 0),
)


@click.command()
@click.option("--times", default=20.0, show_default=True, help="So many times more people than the pool can serve.")
@click.option("--seconds", default=90.0, show_default=True, help="How long they keep coming.")
@click.option("--arrive-s", default=10.0, show_default=True, help="Within this all of them have come.")
@click.option("--stay-s", default=60.0, show_default=True, help="How long one speaks on average.")
@click.option("--slots", default=2, show_default=True, help="Windows that the worker decodes at a time.")
@click.option("--window-s", default=0.4, show_default=True, help="What it takes for each.")
def main(times: float, seconds: float, arrive_s: float, stay_s: float, slots: int, window_s: float) -> None:
    """Overload a service and look what happens to those inside and outside."""
    pcm, final_every_s = _speech()
    capacity = slots * final_every_s / window_s
    run = Run(
        frames=frames_of(pcm),
        hotwords=(f"scripted:sleep={window_s:g}",),
        size=round(times * capacity),
        arrive_s=arrive_s,
        stay_s=stay_s,
        seconds=seconds,
    )
    asyncio.run(run.in_own_service(slots))
    row = {"people": run.size, "sessions whose finals fill the slots": round(capacity, 1), **run.row()}
    bars = [bar_row(bar, float(row[bar.figure])) for bar in _BARS]
    show_table("overload, in seconds as clients see them", [row])
    show_lines("bars", bars)
    show_json("overload", {"slots": slots, "window_s": window_s, **row, "bars": bars})


def _speech() -> tuple[bytes, float]:
    """The bundled recording, and how often somebody who speaks like this ends an utterance."""
    samples, _ = soundfile.read(_SAMPLE, dtype="int16")
    told = json.loads(_SAMPLE.with_suffix(".json").read_text())
    return samples.tobytes(), len(samples) / _RATE_HZ / len(told["utterances"])


@dataclass(kw_only=True)
class Run:
    """One run and its figures."""

    frames: Sequence[bytes]
    hotwords: Sequence[str]
    size: int
    arrive_s: float
    stay_s: float
    seconds: float
    seen: Seen = field(default_factory=Seen)
    recovery_s: float = float("nan")
    door_changes: int = 0
    crashes: float = float("nan")
    most_process_lag_s: float = 0.0
    most_memory_bytes: float = 0.0

    async def in_own_service(self, slots: int) -> None:
        """Start it, overload it, let it recover, and stop it."""
        settings = {
            "HARKEN_ASR_ENGINE": "scripted",
            "HARKEN_ASR_THREADS": str(slots),
            "HARKEN_ASR_BATCH_SIZE": "1",
            "HARKEN_GATEWAY_SESSIONS_PER_SLOT": "4",
            "HARKEN_GATEWAY_MAX_LAG_S": "3",
            "HARKEN_GATEWAY_MAX_PROCESS_LAG_S": "0.25",
            "HARKEN_GATEWAY_MAX_SCORING_SHARE": "0.7",
        }
        async with service(None, "--llm-workers", "0", settings=settings) as (url, _):
            await self._against(urlsplit(url).port or 80)

    async def _against(self, port: int) -> None:
        over = asyncio.Event()
        crowd = Crowd(
            port=port,
            frames=self.frames,
            hotwords=self.hotwords,
            size=self.size,
            arrive_s=self.arrive_s,
            stay_s=self.stay_s,
            over=over,
            seen=self.seen,
        )
        watching = asyncio.create_task(self._watch(port))
        coming = asyncio.create_task(crowd.run())
        await asyncio.sleep(self.seconds)
        over.set()
        ended_at = time.monotonic()
        recovered = asyncio.create_task(_recovered(port))
        await coming
        with suppress(TimeoutError):
            self.recovery_s = await asyncio.wait_for(recovered, _RECOVERY_PATIENCE_S) - ended_at
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        figures = await _figures(port)
        self.crashes = figures.get('harken_gateway_sockets_total{outcome="crashed"}', 0.0)

    async def _watch(self, port: int) -> None:
        """Look at the gateway's metrics all the time."""
        closed = 0.0
        while True:
            figures = await _figures(port)
            now_closed = sum(value for name, value in figures.items() if name.startswith("harken_gateway_pool_closed{"))
            self.door_changes += now_closed != closed
            closed = now_closed
            self.most_process_lag_s = max(self.most_process_lag_s, figures["harken_gateway_process_lag_seconds"])
            self.most_memory_bytes = max(self.most_memory_bytes, figures["harken_gateway_memory_bytes"])
            await asyncio.sleep(_LOOK_EVERY_S)

    def row(self) -> Row:
        """All figures."""
        seen = self.seen
        return {
            "sessions admitted": seen.admitted,
            "most inside": seen.most_inside,
            "finals": len(seen.finals_s),
            **{f"final p{rank}": percentile(seen.finals_s, rank) for rank in (50, 95, 99)},
            "refusals": len(seen.told_s),
            **{f"refused within p{rank}": percentile(seen.told_s, rank) for rank in (50, 95, 99)},
            **{f"connected within p{rank}": percentile(seen.connected_s, rank) for rank in (50, 95)},
            "sessions broken": len(seen.broken),
            "crashes": self.crashes,
            "pool closed or opened": self.door_changes,
            "recovered after": self.recovery_s,
            "most lag of the gateway itself": self.most_process_lag_s,
            "most memory of the gateway, MiB": self.most_memory_bytes / 2**20,
            "clients late p95": percentile(seen.lag_s, 95),
        }


async def _recovered(port: int) -> float:
    """When admission became, and stayed for a while, a yes."""
    since: float | None = None
    while True:
        status, _ = await _get(port, "/v1/admission")
        now = time.monotonic()
        if status != 200:
            since = None
        elif since is None:
            since = now
        elif now >= since + _RECOVERED_FOR_S:
            return since
        await asyncio.sleep(_LOOK_EVERY_S)


async def _figures(port: int) -> dict[str, float]:
    _, body = await _get(port, "/metrics")
    rows = [line.rpartition(" ") for line in body.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in rows}


async def _get(port: int, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    finally:
        writer.close()
    return int(head.split()[1]), body


if __name__ == "__main__":
    main()
