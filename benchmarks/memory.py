"""Memory: a gateway with idle sessions, and long recordings faster than real time.

Prints one JSON line. `python -m benchmarks.memory --help`
"""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import click
import psutil

from benchmarks.playback import play
from benchmarks.recordings import load
from benchmarks.scoring import word_error_rate
from benchmarks.service import service
from benchmarks.streaming import DEFAULT_SPEECH
from clients.sdk import connect

_SAMPLE_EVERY_S = 5.0


@click.command()
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
@click.option("--idle", default=50, show_default=True, help="Idle sessions.")
@click.option("--speed", default=4.0, show_default=True, help="Pace of the long recordings.")
def main(speech: Path, idle: int, speed: float) -> None:
    """Measure the resident memory of a gateway and a worker."""
    print(json.dumps({"benchmark": "memory", **asyncio.run(_measure(speech, idle, speed))}))


async def _measure(speech: Path, idle: int, speed: float) -> dict[str, object]:
    async with service(None) as (url, pid):
        gateway, worker = _child(pid, "stream_gateway"), _child(pid, "asr_workers")
        async with AsyncExitStack() as sessions:
            await sessions.enter_async_context(connect(url))
            before = _megabytes(gateway)
            for _ in range(idle):
                await sessions.enter_async_context(connect(url))
            after = _megabytes(gateway)
        samples: list[tuple[float, float]] = []
        sampler = asyncio.create_task(_sample(gateway, worker, samples))
        rows = []
        for recording in (one for one in load(speech) if one.kind == "long"):
            played = await play(url, recording.pcm(), speed=speed, language=recording.language)
            wer = word_error_rate([recording.text], [played.text])
            rows.append({"id": recording.id, "WER": round(wer, 3), "error": played.error})
        sampler.cancel()
    return {
        "idle_sessions": idle,
        "gateway_mb": round(after, 1),
        "kb_per_idle_session": round(1024 * (after - before) / idle, 1),
        "long": rows,
        "gateway_mb_every_5_s": [round(one, 1) for one, _ in samples],
        "worker_mb_every_5_s": [round(one, 1) for _, one in samples],
    }


async def _sample(gateway: psutil.Process, worker: psutil.Process, samples: list[tuple[float, float]]) -> None:
    while True:
        samples.append((_megabytes(gateway), _megabytes(worker)))
        await asyncio.sleep(_SAMPLE_EVERY_S)


def _child(pid: int | None, module: str) -> psutil.Process:
    return next(one for one in psutil.Process(pid).children(recursive=True) if module in " ".join(one.cmdline()))


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 2**20)


if __name__ == "__main__":
    main()
