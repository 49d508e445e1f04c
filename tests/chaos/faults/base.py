"""What a fault is, and how the signals of most of them are sent."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from random import Random
from typing import ClassVar, Protocol

from tests.chaos.process import Process
from tests.chaos.stack import Stack

PAUSES_S = (2.0, 2.0, 3.0, 5.0, 8.0, 20.0)
"""How long a process may be stopped, or a network dead."""
RESTARTS_S = (0.1, 0.3, 1.0)
"""How long a process manager may take to start a process again."""

NOTHING = "none"
"""Name of the fault that is none."""


class Fault(Protocol):
    """One thing that goes wrong, once. What it has to undo itself it has undone when `inject` returns."""

    name: ClassVar[str]
    nodes: ClassVar[int]
    """Of the broker that it needs."""
    loses_store: ClassVar[bool]
    """Whether the record may lack its beginning after it."""
    is_of_chat: ClassVar[bool]
    """Whether it concerns chat alone."""
    is_silent: ClassVar[bool]
    """Whether clients may not even be told that something is away."""

    async def inject(self, stack: Stack, random: Random) -> str:
        """Do it now; what was done, for whoever looks into a run."""


class OneNode:
    """A fault that a broker of one node will do for, and whose record is whole."""

    name: ClassVar[str]
    nodes: ClassVar[int] = 1
    loses_store: ClassVar[bool] = False
    is_of_chat: ClassVar[bool] = False
    is_silent: ClassVar[bool] = False


def kill(process: Process, random: Random) -> str:
    """SIGKILL; it is started again a moment later."""
    process.restart_after_s = random.choice(RESTARTS_S)
    process.kill()
    return f"{process.name} killed, again after {process.restart_after_s} s"


@asynccontextmanager
async def stopped(process: Process) -> AsyncIterator[None]:
    """SIGSTOP, and SIGCONT afterwards to the same life."""
    lives = process.lives
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        if process.lives == lives:
            process.signal(signal.SIGCONT)


async def stop_for_a_while(process: Process, random: Random) -> str:
    """A process that hangs, and then goes on."""
    pause_s = random.choice(PAUSES_S)
    async with stopped(process):
        await asyncio.sleep(pause_s)
    return f"{process.name} stopped for {pause_s} s"


async def drain(processes: Iterable[Process]) -> str:
    """SIGTERM to one after the other, each once the one before serves again: a rolling upgrade."""
    statuses = []
    for process in processes:
        process.signal(signal.SIGTERM)
        statuses.append(f"{process.name} ended with {await process.until_ended()}")
        await process.until_serving()
    return "; ".join(statuses)
