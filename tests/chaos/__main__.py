"""`python -m tests.chaos`: hurt a running service by seed, and say whether it kept its promises.

Each run is a function of its seed and its fault, but for the timing of the machine. Exits with 1 on a broken promise.
"""

import asyncio
import itertools
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from benchmarks.report import Row, show_json, show_lines
from bus.contract.errors import HarkenError
from tests.chaos.evidence import write_evidence
from tests.chaos.faults.base import Fault
from tests.chaos.faults.table import FAULTS, UNDISTURBED
from tests.chaos.process import NotServing
from tests.chaos.report import normal, rows, violations
from tests.chaos.scenario import Run, RunOptions, run
from tests.chaos.stack import Engines, StackOptions, running
from tests.chaos.weights import References

_UNDISTURBED_RUNS = 2
"""Runs of each stack that nothing happens to: what is normal."""
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be made."""

    fault: Fault
    seed: int


@dataclass(slots=True)
class Results:
    """All runs so far, in the order in which they ended."""

    undisturbed: list[Run] = field(default_factory=list)
    disturbed: list[Run] = field(default_factory=list)

    failed: list[str] = field(default_factory=list)
    """Runs after which the service could not be brought to serve again."""

    def add(self, one: Run) -> None:
        """One more."""
        (self.undisturbed if one.fault == UNDISTURBED.name else self.disturbed).append(one)

    @property
    def all(self) -> list[Run]:
        """By seed, those that nothing happened to first."""
        return [*self.undisturbed, *sorted(self.disturbed, key=lambda one: one.seed)]


@click.command()
@click.option("--runs", default=200, show_default=True, help="How many, over the faults in turn.")
@click.option("--seed", default=1, show_default=True, help="Of the first run; each further one counts up.")
@click.option("--fault", "names", multiple=True, type=click.Choice(list(FAULTS)), help="Only this one, or these.")
@click.option("--lanes", default=3, show_default=True, help="Stacks at the same time.")
@click.option("--sessions", default=6, show_default=True, help="Clients of each run.")
@click.option("--pace", default=3.0, show_default=True, help="How much faster than real time they speak.")
@click.option("--real", is_flag=True, help="Real weights and the bundled recording, in real time; no chat.")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Folder for what the processes print; kept in any case on failure."
)
def main(
    runs: int, seed: int, names: Sequence[str], lanes: int, sessions: int, pace: float, real: bool, keep: Path | None
) -> None:
    """Hurt a running service by seed, and say whether it kept its promises."""
    options = RunOptions(sessions=sessions, pace=1.0 if real else pace)
    engines: Engines = "real" if real else "scripted"
    able = [fault for fault in FAULTS.values() if not (real and fault.is_of_chat)]
    faults = itertools.cycle([FAULTS[name] for name in names] or able)
    jobs = [Job(fault, number) for number, fault in zip(range(seed, seed + runs), faults, strict=False)]
    folder = keep or Path(tempfile.mkdtemp(prefix="harken-chaos-"))
    results = asyncio.run(_all(jobs, lanes, engines, options, folder))
    broken = [*violations(results.all), *results.failed]
    usual = normal(results.undisturbed)
    lines = rows(results.all, usual)
    show_lines("Seconds; a pause is what a run's latest final, or answer, took longer than a normal one", lines)
    for line in broken[:_SHOWN]:
        click.echo(line)
    figures = {"engines": engines, "pace": options.pace, "normal_final_s": usual.final_s}
    show_json("chaos", {**figures, "rows": [_rounded(line) for line in lines], "violations": broken})
    if broken:
        click.echo(f"what was seen, and what the processes printed, is in {folder}", err=True)
    elif keep is None:
        shutil.rmtree(folder)
    sys.exit(1 if broken else 0)


def _rounded(line: Row) -> Row:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in line.items()}


async def _all(jobs: Sequence[Job], lanes: int, engines: Engines, options: RunOptions, folder: Path) -> Results:
    """Run all jobs, those of one kind of stack after those of the other."""
    results = Results()
    for nodes in (1, 3):
        waiting = deque(job for job in jobs if job.fault.nodes == nodes)
        async with asyncio.TaskGroup() as tasks:
            for lane in range(min(lanes, len(waiting))):
                # Both ways to run gateways: a port for each, and one for all of them.
                stack = StackOptions(
                    engines=engines, nodes=nodes, one_port=lane % 2 == 1, llm_workers=2 if engines == "scripted" else 0
                )
                tasks.create_task(_lane(waiting, stack, options, folder / f"nodes{nodes}-lane{lane}", results))
    return results


async def _lane(
    waiting: deque[Job], stack_options: StackOptions, options: RunOptions, folder: Path, results: Results
) -> None:
    """Make runs on one stack, or, where one cannot be brought to serve again, on another one."""
    references = References() if stack_options.engines == "real" else None
    for life in itertools.count(1):
        jobs = (Job(UNDISTURBED, number) for number in range(_UNDISTURBED_RUNS if life == 1 else 0))
        job: Job | None = None
        try:
            async with running(stack_options, folder / f"stack{life}") as stack:
                while job := next(jobs, None) or (waiting.popleft() if waiting else None):
                    one = await run(stack, job.fault, job.seed, options, references)
                    results.add(one)
                    _say(one, stack.folder)
            return
        except* (NotServing, TimeoutError, HarkenError, OSError) as group:
            what = Job(UNDISTURBED, 0) if job is None else job
            why = "; ".join(f"{type(error).__name__}: {error}" for error in _leaves(group))
            results.failed.append(
                f"--fault '{what.fault.name}' --seed {what.seed}: the service did not come back: {why}"
            )
            click.echo(results.failed[-1], err=True)
            if job is None:  # it cannot even be started
                raise


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _say(one: Run, folder: Path) -> None:
    latest = max(one.final_delays_s, default=0.0)
    broken = sum(len(verdict.broken) for verdict in one.verdicts)
    said = f"{broken} promises BROKEN" if broken else "well"
    click.echo(
        f"{one.seed:5} {one.fault:18} {one.took_s:5.1f} s  latest final {latest:6.2f} s  {said}  ({one.done})", err=True
    )
    write_evidence(one, folder)


if __name__ == "__main__":
    main()
