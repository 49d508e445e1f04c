"""Memory: a gateway with idle sessions, then one long session faster than real time.

Prints tables and one JSON line. `python -m benchmarks.memory --help`
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import psutil

from benchmarks.playback import Played, play
from benchmarks.recordings import BYTES_PER_S, DEFAULT_SPEECH, Recording, load, select
from benchmarks.report import Row, show_json, show_lines
from benchmarks.scoring import count_errors
from benchmarks.service import service
from bus.contract.client_protocol import SessionEnded
from clients.sdk import connect

_SAMPLE_EVERY_S = 1.0
_SETTLED_AFTER_S = 60.0
_GAP_S = 1.0
_KILOBYTE = 1024
_MEGABYTE = 1024**2


@dataclass(slots=True)
class Watched:
    """Resident bytes of one process over time."""

    process: psutil.Process
    samples: list[tuple[float, int]] = field(default_factory=list)

    def resident_bytes(self) -> int:
        """Now."""
        return int(self.process.memory_info().rss)

    def growth_after(self, since: float) -> float:
        """Megabytes between the mean of the ten seconds after `since` and that of the last ten; NaN for too few."""
        later = [(at, rss) for at, rss in self.samples if at >= since]
        if not later or later[-1][0] - later[0][0] < 30:
            return float("nan")
        first = [rss for at, rss in later if at < later[0][0] + 10]
        last = [rss for at, rss in later if at > later[-1][0] - 10]
        return (sum(last) / len(last) - sum(first) / len(first)) / _MEGABYTE


@click.command()
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
@click.option("--idle", default=50, show_default=True, help="Idle sessions.")
@click.option("--speed", default=4.0, show_default=True, help="Pace of the long session, times real time.")
def main(speech: Path, idle: int, speed: float) -> None:
    """Measure the resident memory of a gateway and a worker.

    The long session is all long English recordings of the speech set, joined: ten minutes.
    """
    asyncio.run(_measure(speech, idle, speed))


async def _measure(speech: Path, idle: int, speed: float) -> None:
    async with service(None) as (url, pid):
        assert pid is not None
        watched = {name: Watched(_child(pid, module)) for name, module in _PROCESSES.items()}
        idle_row = await _idle(url, watched["gateway"], idle)
        show_lines("idle sessions", [idle_row])
        long = [one for one in select(load(speech), "long") if one.language == "en"]
        began = time.monotonic()
        async with _sampling(list(watched.values())):
            played = await play(url, _joined(long), speed=speed, language="en")
        long_row = _long_row(long, played, time.monotonic() - began)
    rows = [_memory_row(name, one, began) for name, one in watched.items()]
    show_lines(f"one long session at {speed:g} times real time", [long_row])
    show_lines(f"megabytes, and growth after the first {_SETTLED_AFTER_S:g} s of it", rows)
    show_json("memory", {"speed": speed, "idle": idle_row, "long": long_row, "processes": rows})


_PROCESSES = {"gateway": "stream_gateway", "worker": "asr_workers", "nats": "nats"}


async def _idle(url: str, gateway: Watched, count: int) -> Row:
    """Open `count` sessions that send nothing; the first one, which warms the process up, is not counted."""
    async with AsyncExitStack() as sessions:
        await sessions.enter_async_context(connect(url))
        before = gateway.resident_bytes()
        for _ in range(count):
            await sessions.enter_async_context(connect(url))
        after = gateway.resident_bytes()
    return {
        "idle sessions": count,
        "gateway MB": after / _MEGABYTE,
        "KB per session": (after - before) / count / _KILOBYTE,
    }


@asynccontextmanager
async def _sampling(watched: Sequence[Watched]) -> AsyncIterator[None]:
    async def sample() -> None:
        while True:
            for one in watched:
                one.samples.append((time.monotonic(), one.resident_bytes()))
            await asyncio.sleep(_SAMPLE_EVERY_S)

    task = asyncio.create_task(sample(), name="sample memory")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _joined(recordings: Sequence[Recording]) -> bytes:
    return bytes(int(_GAP_S * BYTES_PER_S)).join(one.pcm() for one in recordings)


def _long_row(recordings: Sequence[Recording], played: Played, wall_s: float) -> Row:
    errors = count_errors(" ".join(one.text for one in recordings), played.text)
    ended = [event for _, event in played.events if isinstance(event, SessionEnded)]
    return {
        "audio s": ended[0].audio_s if ended else float("nan"),
        "wall s": wall_s,
        "finals": len(played.finals),
        "words said": errors.said,
        "WER": errors.rate,
        "error": played.error or "none",
    }


def _memory_row(name: str, watched: Watched, began: float) -> Row:
    resident = [rss / _MEGABYTE for _, rss in watched.samples]
    return {
        "process": name,
        "at start": resident[0],
        "highest": max(resident),
        "at end": resident[-1],
        "growth after the first minute": watched.growth_after(began + _SETTLED_AFTER_S),
    }


def _child(pid: int, module: str) -> psutil.Process:
    return next(
        one for one in psutil.Process(pid).children(recursive=True) if any(module in word for word in one.cmdline()[:3])
    )


if __name__ == "__main__":
    main()
