"""What a worker says about its own work, read from its /metrics. Parsing is pure."""

import asyncio
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Self

import psutil
from prometheus_client.parser import text_string_to_metric_families

_SAMPLES: Final[Mapping[str, str]] = {
    "harken_asr_audio_seconds_total": "audio_s",
    "harken_asr_features_seconds_count": "windows",
    "harken_asr_features_seconds_sum": "features_s",
    "harken_asr_encode_seconds_sum": "encode_s",
    "harken_asr_decode_seconds_sum": "decode_s",
}


@dataclass(frozen=True, slots=True)
class Work:
    """Sums over the windows of one kind since the worker began. Differences come with `-`."""

    windows: float = 0
    audio_s: float = 0
    features_s: float = 0
    encode_s: float = 0
    """Wall time of encoder calls; a batch counts for each of its windows."""
    decode_s: float = 0

    def __sub__(self, other: Self) -> "Work":
        return Work(*(getattr(self, one.name) - getattr(other, one.name) for one in fields(self)))


def parse_work(text: str, kind: str) -> Work:
    """The work on one kind of window; zeros for what was not counted yet."""
    found = {
        _SAMPLES[sample.name]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in _SAMPLES and sample.labels.get("kind") == kind
    }
    return Work(**found)


async def read_metrics(port: int) -> str:
    """The text of /metrics on loopback."""
    return await asyncio.to_thread(_fetch, f"http://127.0.0.1:{port}/metrics")


def children(pid: int, module: str) -> list[psutil.Process]:
    """The processes below `harken up` that run `module`."""
    below = psutil.Process(pid).children(recursive=True)
    return [one for one in below if any(module in word for word in one.cmdline()[:3])]


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds that all threads of a process have used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())
