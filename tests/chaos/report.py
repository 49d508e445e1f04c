"""The figures of many runs, by fault."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.report import Row
from benchmarks.scoring import percentile
from tests.chaos.scenario import Run


@dataclass(frozen=True, slots=True)
class Normal:
    """What undisturbed runs take, at the median."""

    final_s: float
    answer_s: float


def normal(runs: Sequence[Run]) -> Normal:
    """From undisturbed runs."""
    return Normal(
        percentile((one for run in runs for one in run.final_delays_s), 50),
        percentile((one for run in runs for one in run.answer_waits_s), 50),
    )


def rows(runs: Sequence[Run], usual: Normal) -> list[Row]:
    """One line for each fault, in the order in which they first came, and one for all."""
    names = dict.fromkeys(run.fault for run in runs)
    lines = [row(name, [run for run in runs if run.fault == name], usual) for name in names]
    return [*lines, row("all", runs, usual)]


def row(name: str, runs: Sequence[Run], usual: Normal) -> Row:
    """A pause is what the latest final of a run was later than a normal one; an answer's, the same of its pieces."""
    verdicts = [verdict for run in runs for verdict in run.verdicts]
    pauses = [max(0.0, max(run.final_delays_s) - usual.final_s) for run in runs if run.final_delays_s]
    waits = [max(0.0, max(run.answer_waits_s) - usual.answer_s) for run in runs if run.answer_waits_s]
    return {
        "fault": name,
        "runs": len(runs),
        "sessions": len(verdicts),
        "words": sum(one.words for one in verdicts),
        "lost": sum(one.lost for one in verdicts),
        "doubled": sum(one.doubled for one in verdicts),
        "broken": sum(len(one.broken) for one in verdicts),
        "errors": sum(len(one.errors) for one in verdicts),
        "told": sum(len(one.told) for one in verdicts),
        **_ranks("pause", pauses),
        **_ranks("answer", waits),
    }


def violations(runs: Iterable[Run]) -> list[str]:
    """One line for each promise that did not hold, with what repeats the run."""
    return [
        f"--fault '{run.fault}' --seed {run.seed}: session {number} ({run.seen[number].plan.kind}): {broken}"
        for run in runs
        for number, verdict in enumerate(run.verdicts)
        for broken in verdict.broken
    ]


def _ranks(name: str, values: Sequence[float]) -> Mapping[str, float | str]:
    if not values:
        return {f"{name} p50": "", f"{name} p95": "", f"{name} max": ""}
    return {f"{name} p50": percentile(values, 50), f"{name} p95": percentile(values, 95), f"{name} max": max(values)}
