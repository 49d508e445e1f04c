"""How many sessions one gateway process carries on one core: real speech in real time, with the scripted engine.

The gateway has a core of its own; NATS, the worker and the clients share the others. Prints a table and one JSON line.
`python -m benchmarks.gateway --help`
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import click
import psutil
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.load import Load, Plan, frames_of
from benchmarks.recordings import DEFAULT_SPEECH, load, select
from benchmarks.report import Row, show_json, show_table
from benchmarks.scoring import percentile
from benchmarks.service import EVERYBODY_COMES_IN
from bus.transport.embedded import EmbeddedNats

_SETTLE_S = 1.0
_WARM_UP_S = 8.0
_SCRAPE_TIMEOUT_S = 60.0
"""A gateway that is loaded beyond its limit answers late, which is a finding."""
_KILOBYTE = 1024


@dataclass(frozen=True, slots=True)
class Round:
    """One row of the table."""

    name: str
    sessions: int
    plan: Plan
    speaks: bool = True


@click.command()
@click.option("--vad", "with_vad", default=250, show_default=True, help="Sessions that speak, with VAD; 0 for none.")
@click.option("--vad-off", default=1000, show_default=True, help="Sessions that speak, without VAD; 0 for none.")
@click.option("--idle", default=1000, show_default=True, help="Sessions that send nothing; 0 for none.")
@click.option("--seconds", default=20.0, show_default=True, help="How long each of the three is measured.")
@click.option("--partials", is_flag=True, help="Let the sessions with VAD ask for partials.")
@click.option("--recordings", "sets", default="scenario,read", show_default=True, help="What is said, in turns.")
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
@click.option("--core", default=0, show_default=True, help="Core of the gateway.")
def main(
    with_vad: int, vad_off: int, idle: int, seconds: float, partials: bool, sets: str, speech: Path, core: int
) -> None:
    """Measure what a gateway adds to the latency of speech, and what a session costs it."""
    others = os.sched_getaffinity(0) - {core}
    if not others:
        raise click.UsageError("this takes two cores: one for the gateway alone")
    os.sched_setaffinity(0, others)
    rounds = [
        Round("VAD", with_vad, Plan(partials=partials)),
        Round("VAD off", vad_off, Plan(vad=False)),
        Round("idle", idle, Plan(), speaks=False),
    ]
    frames = frames_of(b"".join(one.pcm() for one in select(load(speech), sets)))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = [runner.run(_measure(one, frames, seconds, core)) for one in rounds if one.sessions]
    show_table("one gateway on one core; latencies in milliseconds", rows)
    show_json("gateway", {"seconds": seconds, "rounds": rows})


async def _measure(one: Round, frames: Sequence[bytes], seconds: float, core: int) -> Row:
    async with _gateway(core, one.sessions) as (process, port):
        clients = Load(port, frames, one.plan)
        await clients.open(1)  # warms the process up
        await asyncio.sleep(_SETTLE_S)
        rss_before = process.memory_info().rss
        await clients.open(one.sessions - 1)
        player = asyncio.create_task(clients.play() if one.speaks else asyncio.Event().wait())
        await asyncio.sleep(_WARM_UP_S if one.speaks else _SETTLE_S)
        before, cpu_before, began = await _scrape(port), process.cpu_times(), time.monotonic()
        clients.measure_from_now()
        await asyncio.wait([player], timeout=seconds)
        cpu, took_s, after = process.cpu_times(), time.monotonic() - began, await _scrape(port)
        if player.done():
            player.result()
        player.cancel()
        await asyncio.wait([player])
        cores = (cpu.user + cpu.system - cpu_before.user - cpu_before.system) / took_s
        rss = process.memory_info().rss - rss_before
        clients.close()
    return {
        "round": one.name,
        "sessions": one.sessions,
        "partials": "on" if one.plan.partials else "off",
        "gateway cores": cores,
        "% of a core per session": 100 * cores / one.sessions,
        "KB per session": rss / max(1, one.sessions - 1) / _KILOBYTE,
        "of which audio not committed, KB": 2 * clients.held_s * 16_000 / _KILOBYTE if one.speaks else 0.0,
        **_received(before, after),
        **_latencies(clients),
        "finals": clients.seen.finals,
        "failed segments": clients.seen.failed,
        "errors": ", ".join(sorted(set(clients.seen.errors))) or "none",
        **_drops(before, after),
    }


def _latencies(clients: Load) -> dict[str, float]:
    seen = clients.seen
    return {
        f"{name} p{rank}": 1000 * percentile(values, rank)
        for name, values in (
            ("decision until speech.started", seen.started_s),
            ("decision until speech.ended", seen.ended_s),
            ("ping behind a chunk until pong", seen.pong_s),
            ("lateness of the clients", seen.lag_s),
        )
        for rank in (50, 99)
    }


def _received(before: "Samples", after: "Samples") -> dict[str, float]:
    """Chunks, their mean stage time and the share of them above 25 ms, from the gateway's own histogram."""

    def grown(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after.get(key, 0.0) - before.get(key, 0.0)

    stage = "harken_segment_stage_seconds"
    chunks = grown(f"{stage}_count", stage="receive")
    return {
        "chunks": chunks,
        "frame until scored (gateway), mean": 1000 * grown(f"{stage}_sum", stage="receive") / max(1.0, chunks),
        "% of chunks above 25 ms (gateway)": 100
        * (1 - grown(f"{stage}_bucket", stage="receive", le="0.025") / max(1.0, chunks)),
    }


def _drops(before: "Samples", after: "Samples") -> dict[str, float]:
    counts = {
        f"dropped {dict(labels)['what']} {dict(labels)['reason']}": value - before.get((name, labels), 0.0)
        for (name, labels), value in after.items()
        if name == "harken_gateway_dropped_total"
    }
    return {name: count for name, count in counts.items() if count}


Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
"""Values of the metrics by name and labels."""


async def _scrape(port: int) -> Samples:
    def read() -> str:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_SCRAPE_TIMEOUT_S) as answer:
            return str(answer.read().decode())

    families = text_string_to_metric_families(await asyncio.to_thread(read))
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


@asynccontextmanager
async def _gateway(core: int, sessions: int) -> AsyncIterator[tuple[psutil.Process, int]]:
    """A gateway on `core`, with a NATS server and a scripted worker elsewhere; its process and its port."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            EmbeddedNats(store_dir=Path(folder)) as nats,
            _running(nats.url, "asr_workers", "worker ready", HARKEN_ASR_ENGINE="scripted", HARKEN_ASR_BATCH_SIZE="32"),
            _running(
                nats.url,
                "stream_gateway",
                "gateway listens",
                core=core,
                HARKEN_GATEWAY_PORT="0",
                HARKEN_GATEWAY_REUSE_PORT="false",
                HARKEN_GATEWAY_MAX_SESSIONS=str(sessions + 10),
                **EVERYBODY_COMES_IN,
            ) as pid,
        ):
            process = psutil.Process(pid)
            port = next(one.laddr.port for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN)
            yield process, port


@asynccontextmanager
async def _running(
    nats_url: str, module: str, ready: str, *, core: int | None = None, **settings: str
) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        env={**os.environ, "NATS_URL": nats_url, **settings},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})  # its threads, which start later, take it over
    assert process.stderr is not None
    reader = asyncio.create_task(_read_until(process.stderr, ready))
    try:
        await reader
        reader = asyncio.create_task(_read_until(process.stderr, None))  # a full pipe would stop the process
        yield process.pid
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.wait([reader])


async def _read_until(lines: asyncio.StreamReader, message: str | None) -> None:
    async for line in lines:
        if message is not None and line.startswith(b"{") and json.loads(line).get("message") == message:
            return
    if message is not None:
        raise RuntimeError(f"the process ended before it logged {message!r}")


if __name__ == "__main__":
    main()
