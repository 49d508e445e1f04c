"""What CTranslate2 offers, measured on this machine: contexts, batches, threads, compute types, environment.

Prints tables and one JSON line. `python -m benchmarks.engine --help`

Milliseconds are per window. On a machine that others use too the CPU's milliseconds say more than the wall's, except
where calls run in parallel. "as shipped" is measured at the beginning and at the end: what differs between the two is
noise.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import ctranslate2
import msgspec

from benchmarks.model_calls import Choice, Measured, Task
from benchmarks.recordings import BYTES_PER_S, DEFAULT_SPEECH, SAMPLE_RATE_HZ, load, select
from benchmarks.report import Row, show_json, show_lines

_LONGEST_S = 7.0
_BEFORE_S, _AFTER_S = 0.45, 0.2
"""Pauses that a window has around its speech."""
_BEAMS = (1, 5)
_USUAL_CONTEXT_S = 15
_SHIPPED = Choice(name="as shipped")

_THREADS: Final = (
    Choice(name="1 caller, 1 thread"),
    Choice(name="1 caller, 2 threads", intra_threads=2),
    Choice(name="2 callers, 1 thread each", inter_threads=2, callers=2),
    Choice(name="2 callers, 2 threads each", inter_threads=2, intra_threads=2, callers=2),
    Choice(name="1 caller, asynchronous, 2 workers", inter_threads=2, asynchronous=True),
    Choice(
        name="1 caller, asynchronous, 2 workers, queue of 1", inter_threads=2, max_queued_batches=1, asynchronous=True
    ),
)
_ENVIRONMENTS: Final = (
    {"CT2_USE_MKL": "1"},
    {"CT2_USE_MKL": "0"},
    {"CT2_USE_EXPERIMENTAL_PACKED_GEMM": "1", "CT2_USE_MKL": "1"},
    {"CT2_FORCE_CPU_ISA": "AVX2"},
    {"CT2_FORCE_CPU_ISA": "AVX"},
    {"CT2_FORCE_CPU_ISA": "GENERIC"},
    {"OMP_WAIT_POLICY": "PASSIVE"},
    {"KMP_BLOCKTIME": "0"},
    {"OMP_PROC_BIND": "true"},
    {"MALLOC_ARENA_MAX": "2"},
)


@click.command()
@click.option("--speech", type=click.Path(path_type=Path), default=DEFAULT_SPEECH, show_default=True)
@click.option("--windows", default=8, show_default=True, help="Utterances, of two to seven seconds.")
@click.option("--rounds", default=3, show_default=True, help="Medians are of so many.")
@click.option("--contexts", default="8,12,15,20,30", show_default=True, help="Seconds of encoder context.")
@click.option("--batches", default="1,2,4,8", show_default=True, help="Windows per generate call.")
@click.option("--parts", default="shapes,threads,types,environment", show_default=True, help="What to measure.")
def main(speech: Path, windows: int, rounds: int, contexts: str, batches: str, parts: str) -> None:
    """Time the model calls of Whisper base on a few utterances, with one setting changed at a time.

    All of it takes a quarter of an hour; a setting that makes CTranslate2 much slower takes most of that.
    """
    pcm = _windows(speech, windows)
    figures: dict[str, object] = {"windows": len(pcm), "seconds": [round(len(one) / BYTES_PER_S, 1) for one in pcm]}
    if "shapes" in parts:
        shapes = _run(_SHIPPED, pcm, rounds, _numbers(contexts), _numbers(batches))
        by_context: list[Row] = [{"context": context_s, **one} for context_s, one in shapes.figures.items()]
        for unit in ("cpu ms", "ms"):
            show_lines(f"one thread, {unit} per window", [_only(row, unit) for row in by_context])
        figures["shapes"] = by_context
    for part, choices in (("threads", _THREADS), ("types", _types()), ("environment", _environments())):
        if part in parts:
            compared = _compare(choices, pcm, rounds)
            show_lines(f"{part}: milliseconds per window, {_USUAL_CONTEXT_S} s of context", compared)
            figures[part] = compared
    show_json("engine", figures)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(","))


def _windows(speech: Path, count: int) -> tuple[bytes, ...]:
    """The first utterances of the scenarios that fit every context, with the pauses around them that a session has."""
    found = []
    for recording in select(load(speech), "scenario"):
        pcm = recording.pcm()
        for one in recording.utterances:
            start_s, end_s = max(0.0, one.start_s - _BEFORE_S), one.end_s + _AFTER_S
            if 2.0 <= end_s - start_s <= _LONGEST_S and recording.language == "en":
                found.append(pcm[2 * int(start_s * SAMPLE_RATE_HZ) : 2 * int(end_s * SAMPLE_RATE_HZ)])
    return tuple(found[:: max(1, len(found) // count)][:count])


def _types() -> list[Choice]:
    types = sorted(ctranslate2.get_supported_compute_types("cpu"))
    return [_SHIPPED, *(Choice(name=one, compute_type=one) for one in types if one != _SHIPPED.compute_type), _SHIPPED]


def _environments() -> list[Choice]:
    changed = [
        Choice(name=" ".join(f"{name}={value}" for name, value in one.items()), environment=one)
        for one in _ENVIRONMENTS
    ]
    return [_SHIPPED, *changed, _SHIPPED]


def _compare(choices: Sequence[Choice], pcm: tuple[bytes, ...], rounds: int) -> list[Row]:
    rows: list[Row] = []
    first: Measured | None = None
    for choice in choices:
        try:
            measured = _run(choice, pcm, rounds, (_USUAL_CONTEXT_S,), (1, 4))
        except subprocess.CalledProcessError as error:
            print(f"{choice.name} cannot run: {error.stderr.decode().strip().splitlines()[-1]}")
            continue
        first = first or measured
        pairs = [pair for key in first.tokens for pair in zip(first.tokens[key], measured.tokens[key], strict=True)]
        figures = measured.figures[_USUAL_CONTEXT_S]
        unit = "cpu ms" if choice.callers == choice.inter_threads == choice.intra_threads == 1 else "ms"
        rows.append(
            {
                "choice": choice.name,
                "clock": "cpu" if unit == "cpu ms" else "wall",
                **{name.removesuffix(f" {unit}"): value for name, value in _only(figures, unit).items()},
                "other texts": f"{sum(a != b for a, b in pairs)}/{len(pairs)}",
            }
        )
    return rows


def _only(figures: Row, unit: str) -> Row:
    """The times of one clock, and what is no time."""
    times = {"cpu ms": "cpu ms", "ms": " ms"}[unit]
    other = [name for name in figures if not name.endswith("ms")]
    kept = [name for name in figures if name.endswith(times) and (unit == "cpu ms" or not name.endswith("cpu ms"))]
    return {name: figures[name] for name in [*other, *kept]}


def _run(
    choice: Choice, pcm: tuple[bytes, ...], rounds: int, contexts_s: tuple[int, ...], batches: tuple[int, ...]
) -> Measured:
    """Measure in a process of its own; CalledProcessError if the choice cannot be had here."""
    task = Task(choice=choice, pcm=pcm, contexts_s=contexts_s, batches=batches, beams=_BEAMS, rounds=rounds)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.model_calls"],
        input=msgspec.msgpack.encode(task),
        env={**os.environ, **choice.environment},
        capture_output=True,
        check=True,
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Measured)


if __name__ == "__main__":
    main()
