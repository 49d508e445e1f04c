"""The batch plan against the plan without costs, in simulated time: who waits how long, how much is done.

Prints tables and one JSON line. `python -m benchmarks.plan --help`

No model runs: calls take what the cost lines below say (milliseconds of Whisper base on two cores of a server, and of
a device on which a further window is nearly free), give or take the length of the text. Same input, same output.
"""

import heapq
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import click

from asr_workers.batch.arrivals import Arrivals
from asr_workers.batch.costs import CallTime, CostModel
from asr_workers.batch.plan import Batch, BatchPlan, Group, PlanLimits, Running, Waiting, plan_batch
from benchmarks.report import Row, show_json, show_lines
from bus.contract.work import WindowKind

_CONTEXTS_S: Final[Mapping[WindowKind, Sequence[tuple[int, float]]]] = {
    "final": ((15, 0.85), (20, 0.15)),
    "partial": ((8, 0.8), (12, 0.2)),
}
"""Contexts and how many of the windows have them."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What calls take: seconds of a first and of each further window, per second of context."""

    executors: int
    max_batch: int
    max_wait_s: float
    lines: Mapping[WindowKind, tuple[float, float]]

    def seconds(self, kind: WindowKind, context_s: int, windows: int) -> float:
        """A call with texts of the usual length."""
        first_s, further_s = self.lines[kind]
        return context_s * (first_s + (windows - 1) * further_s)


_CPU: Final[Mapping[WindowKind, tuple[float, float]]] = {"final": (0.030, 0.021), "partial": (0.025, 0.017)}
_GPU: Final[Mapping[WindowKind, tuple[float, float]]] = {"final": (0.02, 0.001), "partial": (0.015, 0.0007)}
MACHINES: Final = {
    "two executors": Machine(2, 4, 0.0, _CPU),
    "one executor": Machine(1, 4, 0.0, _CPU),
    "cheap batches": Machine(1, 16, 0.02, _GPU),
}

Plan = Callable[["_World"], BatchPlan]


@dataclass(slots=True)
class _World:
    machine: Machine
    costs: CostModel
    arrivals: Arrivals = field(default_factory=Arrivals)
    now: float = 0.0
    waiting: dict[int, Waiting] = field(default_factory=dict)
    running: dict[Batch, float] = field(default_factory=dict)
    """Expected ends."""


def with_costs(world: _World) -> BatchPlan:
    """What workers do."""
    machine = world.machine
    return plan_batch(
        world.waiting.values(),
        [Running(kind=batch.kind, ends_at=ends_at) for batch, ends_at in world.running.items()],
        now=world.now,
        limits=PlanLimits(
            executors=machine.executors,
            final_batch=machine.max_batch,
            partial_batch=machine.max_batch,
            max_wait_s=machine.max_wait_s,
        ),
        costs=world.costs,
        gap_s=lambda kind, context_s: world.arrivals.gap_s(kind, context_s, world.now),
    )


def without_costs(world: _World) -> BatchPlan:
    """Finals first, oldest first, spread over all free executors, partials on all executors but one."""
    executors, batches = world.machine.executors, list[Batch]()
    left = sorted(world.waiting.values(), key=lambda w: (w.kind == "partial", w.since, w.job))
    partials = sum(batch.kind == "partial" for batch in world.running)
    while left and (free := executors - len(world.running) - len(batches)) > 0:
        head = left[0]
        if head.kind == "partial":
            free = min(free, max(1, executors - 1) - partials)
            partials += 1
        if free <= 0:
            break
        company = [w for w in left if (w.kind, w.group) == (head.kind, head.group)]
        chosen = company[: min(world.machine.max_batch, -(-len(company) // free))]
        batches.append(Batch(kind=head.kind, jobs=tuple(w.job for w in chosen)))
        left = [w for w in left if w not in chosen]
    return BatchPlan(batches=tuple(batches))


@dataclass(slots=True)
class _Session:
    """Says five seconds or so, pauses; a partial every so often, one in flight, the newest wins."""

    chance: random.Random
    turn_ends_at: float
    partial: int | None = None


def simulate(machine: Machine, plan: Plan, *, sessions: int, seconds: float, every_s: float, seed: int = 1) -> Row:
    """One run: waits of finals and partials from their arrival to their text, in seconds."""
    chances = [random.Random(f"{seed} {n}") for n in range(sessions)]
    lengths = random.Random(seed + 1)
    world = _World(machine, CostModel(_timed(machine)))
    speakers = [_Session(chance, turn_ends_at=chance.uniform(0, 7)) for chance in chances]
    numbers = iter(range(1, 10**9))
    owners: dict[int, _Session] = {}
    events: list[tuple[float, int, Callable[[], None]]] = []
    took: dict[WindowKind, list[float]] = {"final": [], "partial": []}
    sizes: list[int] = []

    def at(when: float, what: Callable[[], None]) -> None:
        heapq.heappush(events, (when, next(numbers), what))

    def arrive(kind: WindowKind, owner: _Session) -> None:
        job = next(numbers)
        contexts, weights = zip(*_CONTEXTS_S[kind], strict=True)
        context_s = lengths.choices(contexts, weights)[0]
        world.waiting[job] = Waiting(job=job, kind=kind, group=Group(context_s, 0), since=world.now)
        world.arrivals.on_arrival(kind, context_s, world.now)
        if kind == "partial":
            owner.partial = job
            owners[job] = owner

    def speak(one: _Session) -> None:
        if world.now >= one.turn_ends_at:
            if one.partial in world.waiting:
                del world.waiting[one.partial]
                one.partial = None
            arrive("final", one)
            one.turn_ends_at = world.now + one.chance.uniform(3, 8)
            at(world.now + one.chance.uniform(0.5, 1.5), lambda: speak(one))
        else:
            if one.partial is None:
                arrive("partial", one)
            at(min(world.now + every_s, one.turn_ends_at), lambda: speak(one))

    def end(batch: Batch, members: Sequence[Waiting], took_s: float) -> None:
        del world.running[batch]
        head = members[0]
        world.costs.learn(
            CallTime(kind=head.kind, context_s=head.group.context_s, windows=len(members), seconds=took_s)
        )
        for one in members:
            took[one.kind].append(world.now - one.since)
            if (owner := owners.pop(one.job, None)) is not None and owner.partial == one.job:
                owner.partial = None

    def start(batch: Batch) -> None:
        members = [world.waiting.pop(job) for job in batch.jobs]
        context_s = members[0].group.context_s
        world.running[batch] = world.now + world.costs.seconds(batch.kind, context_s, len(members))
        took_s = machine.seconds(batch.kind, context_s, len(members)) * lengths.uniform(0.6, 1.4)
        sizes.extend([len(members)] * (batch.kind == "final"))
        at(world.now + took_s, lambda: end(batch, members, took_s))

    for one in speakers:
        at(one.chance.uniform(0, every_s), lambda one=one: speak(one))  # type: ignore[misc]
    while events and events[0][0] < seconds:
        world.now, _, event = heapq.heappop(events)
        event()
        chosen = plan(world)
        for batch in chosen.batches:
            start(batch)
        if chosen.look_again_at is not None:
            at(max(world.now + 1e-6, chosen.look_again_at), lambda: None)
    return _row(took, sizes, seconds)


def _timed(machine: Machine) -> list[CallTime]:
    """What a worker measures when it starts."""
    return [
        CallTime(
            kind=kind,
            context_s=contexts[0][0],
            windows=windows,
            seconds=machine.seconds(kind, contexts[0][0], windows),
        )
        for kind, contexts in _CONTEXTS_S.items()
        for windows in (1, machine.max_batch)
    ]


def _row(took: Mapping[WindowKind, Sequence[float]], sizes: Sequence[int], seconds: float) -> Row:
    row: dict[str, float | int | str] = {}
    for kind, values in took.items():
        cuts = statistics.quantiles(values, n=20) if len(values) > 1 else [float("nan")] * 19
        row |= {f"{kind} p50": cuts[9], f"{kind} p95": cuts[18], f"{kind}s a second": len(values) / seconds}
    return {**row, "finals a batch": statistics.mean(sizes)}


@click.command()
@click.option("--seconds", default=300.0, show_default=True, help="Simulated time.")
@click.option(
    "--sessions", default="4,8,16", show_default=True, help="Speakers at once on a CPU; ten times on cheap batches."
)
@click.option("--every-s", default=0.6, show_default=True, help="Partials of a session come so often at most.")
def main(seconds: float, sessions: str, every_s: float) -> None:
    """Compare both plans on the same speakers."""
    figures: dict[str, object] = {}
    for name, machine in MACHINES.items():
        rows = [
            {
                "plan": plan.__name__.replace("_", " "),
                "sessions": count,
                **simulate(machine, plan, sessions=count, seconds=seconds, every_s=every_s),
            }
            for count in (int(one) for one in sessions.split(","))
            for plan in (without_costs, with_costs)
        ]
        show_lines(name, rows)
        figures[name] = rows
    show_json("plan", figures)


if __name__ == "__main__":
    main()
