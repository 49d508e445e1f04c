"""`python -m tests.fuzz`: run every target on many inputs, print a table, keep what breaks something.

An input is made again from its target, seed and number: `--again TARGET SEED NUMBER`.
"""

import os
import sys
import time
from pathlib import Path

import click

from benchmarks.report import Row, show_json, show_lines
from tests.fuzz.campaign import Crash, Outcome, crash_of, made
from tests.fuzz.corpus import keep
from tests.fuzz.processes import run_all
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target

_INPUTS = 60_000


@click.command()
@click.option("--inputs", default=_INPUTS, show_default=True, help="Inputs for each target; costly ones take a share.")
@click.option("--seed", default=None, type=int, help="By default another one each time.")
@click.option("--only", default="", help="Targets whose names begin so.")
@click.option("--jobs", default=len(os.sched_getaffinity(0)), show_default=True, help="Targets at a time.")
@click.option("--again", nargs=3, type=(str, int, int), default=None, help="Run one input again: TARGET SEED NUMBER.")
def main(inputs: int, seed: int | None, only: str, jobs: int, again: tuple[str, int, int] | None) -> None:
    """Fuzz every parser that faces a socket or the bus."""
    if again is not None:
        sys.exit(_run_again(*again))
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")  # or each thread of a decoder leaves a heap of its own behind
    seed = time.time_ns() % 1_000_000 if seed is None else seed
    began = time.monotonic()
    outcomes = []
    targets = [target for target in TARGETS if target.name.startswith(only)]
    for target, outcome in run_all(targets, inputs=inputs, seed=seed, jobs=jobs):
        outcomes.append(outcome)
        click.echo(f"{target.name}: {outcome.inputs} inputs, {len(outcome.crashes)} crashes")
        for crash in outcome.crashes:
            _tell(target, seed, crash)
    show_lines("Fuzzing", [_row(outcome) for outcome in outcomes])
    bad = [outcome.name for outcome in outcomes if outcome.crashes or outcome.is_growing]
    figures = {
        "seed": seed,
        "targets": len(outcomes),
        "inputs": sum(outcome.inputs for outcome in outcomes),
        "crashes": sum(len(outcome.crashes) for outcome in outcomes),
        "growing": [outcome.name for outcome in outcomes if outcome.is_growing],
        "wall_s": round(time.monotonic() - began, 1),
    }
    show_json("fuzz", figures)
    sys.exit(1 if bad else 0)


def _row(outcome: Outcome) -> Row:
    return {
        "target": outcome.name,
        "inputs": outcome.inputs,
        "refused %": round(100 * outcome.refused / max(1, outcome.inputs)),
        "CPU us each": round(1e6 * outcome.cpu_s / max(1, outcome.inputs)),
        "slowest ms": round(1e3 * outcome.slowest_s),
        "its number": outcome.slowest_index,
        "blocks left": outcome.grown_blocks,
        "KiB left": outcome.grown_bytes >> 10,
        "grows": "yes" if outcome.is_growing else "",
        "crashes": len(outcome.crashes),
    }


def _tell(target: Target, seed: int, crash: Crash) -> None:
    click.echo(f"  {crash.what}\n  --again {target.name} {seed} {crash.index}")
    click.echo("".join(f"    {line}\n" for line in crash.details.strip().splitlines()[-6:]))
    if crash.details:  # else it is not to be tried again in this process
        path = keep(target, crash)
        click.echo(f"  kept as {path.relative_to(Path.cwd())}" if path is not None else "  too long to be kept")


def _run_again(name: str, seed: int, index: int) -> int:
    target = next(target for target in TARGETS if target.name == name)
    data = made(target, seed, index)
    click.echo(repr(data[:2_000]))
    crash = crash_of(target, data)
    click.echo(crash.details or crash.what if crash is not None else "nothing breaks")
    return 0 if crash is None else 1


if __name__ == "__main__":
    main()
