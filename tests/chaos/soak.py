"""`python -m tests.chaos.soak`: many sessions that speak for long, and whether memory and latency stay flat.

Half of the sessions last as long as the soak, the others begin anew each minute. All words are checked.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median

import click
import psutil

from asr_workers.engines.scripted import expected_words
from benchmarks.report import Row, show_json, show_lines
from benchmarks.scoring import percentile
from bus.contract import client_protocol as wire
from bus.contract.errors import HarkenError
from clients.sdk import LiveSession, VadOptions, connect
from tests.chaos.client import ENDPOINT_S
from tests.chaos.recording import SAMPLE_RATE_HZ
from tests.chaos.speech import speak
from tests.chaos.stack import Engines, Stack, StackOptions, running

_CHUNK_S = 0.1
_BURSTS = 12
"""Of the speech that a session repeats: about 40 s."""
_SAMPLE_EVERY_S = 5.0
_MB = 1024**2
_GROWTH = 0.05
_GROWTH_MB = 5.0
_SLOWER = 1.25
_SLOWER_S = 0.05


@dataclass(slots=True)
class Observed:
    """All that was measured. Moments are seconds from the begin."""

    began: float
    delays: list[tuple[float, float]] = field(default_factory=list)
    """When a final came, and how long after the audio that ended its utterance."""
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """For each process, megabytes that are its own."""
    words: int = 0
    wrong: int = 0
    """Words lost, doubled or out of place, by session: 1 for each that has any."""
    errors: list[str] = field(default_factory=list)

    def now(self) -> float:
        """Seconds from the begin."""
        return time.monotonic() - self.began


@click.command()
@click.option("--sessions", default=20, show_default=True, help="At any time.")
@click.option("--minutes", default=30.0, show_default=True, help="How long.")
@click.option("--decode-s", default=0.2, show_default=True, help="What the scripted engine takes for a window.")
@click.option("--churn-s", default=60.0, show_default=True, help="How long every other session lasts.")
@click.option("--real", is_flag=True, help="Real weights; then words are not checked.")
def main(sessions: int, minutes: float, decode_s: float, churn_s: float, real: bool) -> None:
    """Have sessions speak for long, and tell whether memory and latency stay flat."""
    folder = Path(tempfile.mkdtemp(prefix="harken-soak-"))
    engines: Engines = "real" if real else "scripted"
    observed = asyncio.run(_soak(folder, engines, sessions, minutes * 60.0, decode_s, churn_s))
    shutil.rmtree(folder)
    show_lines("Each minute: seconds from the end of an utterance to its final, and megabytes", _minutes(observed))
    verdicts = [*_growing(observed), *_slower(observed), *observed.errors]
    if observed.wrong and not real:
        verdicts.append(f"{observed.wrong} sessions with words lost or doubled")
    for verdict in verdicts:
        click.echo(verdict)
    figures = {"sessions": sessions, "minutes": minutes, "words": observed.words, "not_flat": verdicts}
    show_json("soak", {**figures, "rows": _minutes(observed)})
    sys.exit(1 if verdicts else 0)


async def _soak(
    folder: Path, engines: Engines, sessions: int, length_s: float, decode_s: float, churn_s: float
) -> Observed:
    # The scripted engine sleeps instead of computing: each worker does four windows at once, as a larger machine would.
    settings = {"HARKEN_ASR_THREADS": "4"} if engines == "scripted" else {}
    async with running(StackOptions(engines=engines, llm_workers=1, settings=settings), folder) as stack:
        observed = Observed(time.monotonic())
        sampling = asyncio.create_task(_sample(stack, observed))
        async with asyncio.TaskGroup() as tasks:
            for number in range(sessions):
                lasts_s = length_s if number % 2 == 0 else churn_s
                tasks.create_task(_client(stack, number, lasts_s, length_s, decode_s, observed))
        sampling.cancel()
    return observed


async def _sample(stack: Stack, observed: Observed) -> None:
    while True:
        for process in stack.processes:
            if process.pid is not None:
                used = psutil.Process(process.pid).memory_info()
                observed.memory[process.name].append((observed.now(), (used.rss - used.shared) / _MB))
        own = psutil.Process().memory_info()
        observed.memory["runner"].append((observed.now(), (own.rss - own.shared) / _MB))
        await asyncio.sleep(_SAMPLE_EVERY_S)


async def _client(
    stack: Stack, number: int, lasts_s: float, length_s: float, decode_s: float, observed: Observed
) -> None:
    """Sessions one after the other, until `length_s` is over."""
    await asyncio.sleep(number * 0.37)
    while (left_s := length_s - observed.now()) > 1.0:
        try:
            await _session(stack, Random(number), number, min(lasts_s, left_s), decode_s, observed)
        except* HarkenError as group:
            observed.errors += [f"session {number}: {type(one).__name__}: {one}" for one in group.exceptions]


async def _session(
    stack: Stack, random: Random, number: int, lasts_s: float, decode_s: float, observed: Observed
) -> None:
    pcm = speak(random, _BURSTS).pcm
    heard: list[str] = []
    sent_samples = 0
    hotwords = ("scripted:marked", f"scripted:sleep={decode_s:g}")
    urls = stack.urls
    async with (
        connect(
            urls[number % len(urls)], language="en", hotwords=hotwords, vad=VadOptions(endpoint_s=ENDPOINT_S)
        ) as session,
        asyncio.TaskGroup() as tasks,
    ):
        began = time.monotonic()
        sending = tasks.create_task(_speak(session, pcm, began, lasts_s))
        async for event in session:
            if isinstance(event, wire.TranscriptFinal):
                heard += event.text.split()
                delay = time.monotonic() - began - event.end_s - ENDPOINT_S
                observed.delays.append((observed.now(), delay))
    sent_samples = sending.result()
    loops, rest = divmod(sent_samples, len(pcm) // 2)
    said = [
        word
        for loop in range(loops + 1)
        for word in expected_words(pcm if loop < loops else pcm[: 2 * rest], loop * (len(pcm) // 2), marked=True)
    ]
    observed.words += len(said)
    observed.wrong += said != heard


async def _speak(session: LiveSession, pcm: bytes, began: float, lasts_s: float) -> int:
    """Repeat `pcm` in real time; how many samples were sent. Ends in a pause."""
    step = int(_CHUNK_S * SAMPLE_RATE_HZ)
    samples = len(pcm) // 2
    sent = 0
    while sent < lasts_s * SAMPLE_RATE_HZ or any(pcm[2 * ((sent - step) % samples) :][: 2 * step]):
        at = sent % samples
        chunk = pcm[2 * at : 2 * min(at + step, samples)]
        sent += len(chunk) // 2
        await asyncio.sleep(max(0.0, began + sent / SAMPLE_RATE_HZ - time.monotonic()))
        await session.send(chunk)
    await session.end()
    return sent


def _minutes(observed: Observed) -> list[Row]:
    last = int(max((at for at, _ in observed.delays), default=0.0) // 60)
    return [_minute(observed, minute) for minute in range(last + 1)]


def _minute(observed: Observed, minute: int) -> Row:
    delays = [delay for at, delay in observed.delays if at // 60 == minute]
    memory: Mapping[str, float | str] = {
        name: median(found) if (found := [used for at, used in samples if at // 60 == minute]) else ""
        for name, samples in observed.memory.items()
    }
    return {
        "minute": minute + 1,
        "finals": len(delays),
        "p50": percentile(delays, 50),
        "p95": percentile(delays, 95),
        **memory,
    }


def _thirds(samples: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """The values of the second and of the last third of the time: the first is for warming up."""
    length = max((at for at, _ in samples), default=0.0) / 3
    second = [value for at, value in samples if length <= at < 2 * length]
    return second, [value for at, value in samples if at >= 2 * length]


def _growing(observed: Observed) -> list[str]:
    found = []
    for name, samples in observed.memory.items():
        second, last = _thirds(samples)
        if second and last and median(last) > median(second) + max(_GROWTH_MB, _GROWTH * median(second)):
            found.append(
                f"{name} grows: {median(second):.0f} MB in the second third, {median(last):.0f} MB in the last"
            )
    return found


def _slower(observed: Observed) -> list[str]:
    second, last = _thirds(observed.delays)
    before, after = percentile(second, 95), percentile(last, 95)
    if after > before * _SLOWER + _SLOWER_S:
        return [f"finals slow down: p95 {before:.2f} s in the second third, {after:.2f} s in the last"]
    return []


if __name__ == "__main__":
    main()
