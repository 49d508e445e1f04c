"""Runs one target on many inputs, and watches each: exceptions, CPU time, and what memory is left behind."""

import ctypes
import gc
import linecache
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from tests.fuzz.target import Target

HANG_CPU_S = 1.0
"""More than any input may take."""
_MAX_CRASHES = 20
"""Different ones, after which a target is given up."""
_MAX_HANGS = 5
_WARM_SHARE = 0.25
"""Of the inputs, after which memory is looked at first: caches are full then."""
_ROOT = Path(__file__).parents[2]


class Hang(BaseException):
    """An input that took more than `HANG_CPU_S`. No Exception: nothing that is fuzzed may swallow it."""


@dataclass(frozen=True, slots=True)
class Crash:
    """One input that broke the contract."""

    index: int
    what: str
    """The exception and where it came from; inputs that share it count as one."""
    data: bytes = field(repr=False)
    details: str = field(repr=False)
    is_hang: bool = False


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Of one target."""

    name: str
    inputs: int = 0
    refused: int = 0
    """Inputs that ended with an exception that the contract allows."""
    cpu_s: float = 0.0
    slowest_s: float = 0.0
    slowest_index: int = 0
    grown_blocks: int = 0
    """Python's memory blocks left behind after the first quarter."""
    grown_bytes: int = 0
    """Of the process, likewise: what libraries keep shows here."""
    crashes: list[Crash] = field(default_factory=list)

    @property
    def is_growing(self) -> bool:
        """Whether it leaves something behind with each of many inputs."""
        later = self.inputs * (1 - _WARM_SHARE)
        return self.grown_blocks > 2_000 + 0.1 * later or self.grown_bytes > 24 * 2**20 + 50 * later


def made(target: Target, seed: int, index: int) -> bytes:
    """The input of this number: the same in every run."""
    return target.make(Random(seed * 1_000_003 + index))


def run(target: Target, *, inputs: int, seed: int, at: Callable[[int], None] = lambda _: None) -> Outcome:
    """Run `inputs` of a target. `at` is told the number of each before it runs, for a process that may die of one."""
    outcome = Outcome(name=target.name)
    seen: set[str] = set()
    hangs = 0
    before = (0, 0)
    target.prepare()
    for index in range(inputs):
        if index == int(inputs * _WARM_SHARE):
            before = _memory()
        at(index)
        data = made(target, seed, index)
        crash = _run_one(target, data, index, outcome)
        if crash is not None and crash.what not in seen:
            seen.add(crash.what)
            outcome.crashes.append(crash)
        hangs += crash is not None and crash.is_hang
        if len(seen) >= _MAX_CRASHES or hangs >= _MAX_HANGS:
            break
    after = _memory()
    outcome.grown_blocks, outcome.grown_bytes = after[0] - before[0], after[1] - before[1]
    return outcome


def crash_of(target: Target, data: bytes, index: int = -1) -> Crash | None:
    """What an input breaks, if it breaks anything."""
    target.prepare()
    return _run_one(target, data, index, Outcome(name=target.name))


def smallest(target: Target, crash: Crash, *, tries: int) -> bytes:
    """An input that breaks the same, with as much left out as a few tries find."""
    data, step = crash.data, max(1, len(crash.data) // 2)
    while step and tries > 0:
        for start in range(0, len(data), step):
            tries -= 1
            less = data[:start] + data[start + step :]
            again = crash_of(target, less) if tries > 0 else None
            if again is not None and again.what == crash.what:
                data = less
                break
        else:
            step //= 2
    return data


def _run_one(target: Target, data: bytes, index: int, outcome: Outcome) -> Crash | None:
    began = time.process_time()
    crash = None
    try:
        with _no_longer_than(HANG_CPU_S):
            target.run(data)
    except target.refusals:
        outcome.refused += 1
    except (Exception, Hang) as error:
        crash = Crash(index, _signature(error), data, traceback.format_exc(), isinstance(error, Hang))
    taken_s = time.process_time() - began
    outcome.inputs += 1
    outcome.cpu_s += taken_s
    if taken_s > outcome.slowest_s:
        outcome.slowest_s, outcome.slowest_index = taken_s, index
    if crash is None and taken_s > HANG_CPU_S:
        return Crash(index, f"took {HANG_CPU_S:g} s of CPU in one call", data, "", is_hang=True)
    return crash


@contextmanager
def _no_longer_than(cpu_s: float) -> Iterator[None]:
    """Raise Hang in the main thread once the process has used so much CPU."""

    def on_time(_number: int, _frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, on_time)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _signature(error: BaseException) -> str:
    """Type and innermost place in this repository, outside the fuzzer itself unless there is no other."""
    places = [
        f"{Path(frame.filename).relative_to(_ROOT)}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(_ROOT) and ".venv" not in frame.filename
    ]
    ours = [place for place in places if not place.startswith("tests/fuzz/campaign.py")]
    return f"{type(error).__name__} at {ours[-1] if ours else '?'}"


def _memory() -> tuple[int, int]:
    """Python's memory blocks, and bytes of the process, without what is free."""
    linecache.clearcache()  # tracebacks of crashes fill it
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return sys.getallocatedblocks(), pages * resource.getpagesize()
