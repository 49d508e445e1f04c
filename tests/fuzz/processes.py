"""One process for each target, so that an input that kills, hangs or bloats it is that target's, and is known."""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized

from tests.fuzz.campaign import Crash, Outcome, made, run
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target

_STUCK_S = 120.0
"""Wall time on one input, after which a process is taken for one that never comes back."""
_LOOK_EVERY_S = 0.2
_spawn = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class _Running:
    target: Target
    inputs: int
    process: BaseProcess
    result: Connection
    index: "Synchronized[int]"
    seen_index: int = -1
    """Before the first input the process is still on its way up, which may take long."""
    seen_at: float = 0.0


def run_all(targets: Sequence[Target], *, inputs: int, seed: int, jobs: int) -> Iterator[tuple[Target, Outcome]]:
    """Run all targets, `jobs` at a time; each outcome as soon as it is there."""
    waiting, running = list(targets), list[_Running]()
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(_start(waiting.pop(0), inputs, seed))
        for one in list(running):
            outcome = _outcome(one, seed)
            if outcome is not None:
                running.remove(one)
                yield one.target, outcome
        time.sleep(_LOOK_EVERY_S)


def _start(target: Target, inputs: int, seed: int) -> _Running:
    count = max(1, round(inputs * target.share))
    result, theirs = _spawn.Pipe(duplex=False)
    index = _spawn.Value("q", -1)
    process = _spawn.Process(target=_child, args=(target.name, count, seed, index, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Running(target, count, process, result, index, seen_at=time.monotonic())


def _child(name: str, inputs: int, seed: int, index: "Synchronized[int]", result: Connection) -> None:
    target = next(target for target in TARGETS if target.name == name)

    def at(number: int) -> None:
        index.value = number

    result.send(run(target, inputs=inputs, seed=seed, at=at))


def _outcome(one: _Running, seed: int) -> Outcome | None:
    """None while it runs."""
    if one.result.poll():
        try:
            outcome: Outcome = one.result.recv()
        except EOFError:
            one.process.join()
            return _died(one, seed, f"the process died with exit code {one.process.exitcode}")
        one.process.join()
        return outcome
    now = time.monotonic()
    if one.index.value != one.seen_index:
        one.seen_index, one.seen_at = one.index.value, now
    elif one.seen_index >= 0 and now - one.seen_at > _STUCK_S:
        one.process.kill()
        one.process.join()
        return _died(one, seed, f"one input took {_STUCK_S:g} s and did not come back")
    return None


def _died(one: _Running, seed: int, what: str) -> Outcome:
    index = max(0, one.index.value)
    crash = Crash(index, what, made(one.target, seed, index), "")
    return Outcome(name=one.target.name, inputs=index + 1, crashes=[crash])
