"""Workers that die, hang, answer nonsense or leave, for speech and for chat."""

import asyncio
import signal
from random import Random
from typing import ClassVar

from tests.chaos.faults.base import OneNode, kill, stop_for_a_while
from tests.chaos.process import Process
from tests.chaos.sabotage.orders import GARBAGE, Order
from tests.chaos.stack import Stack

_ORDER_WITHIN_S = 3.0
_GARBAGE_S = 3.0
_MOMENTS: tuple[Order, ...] = ("die_in_decode", "die_in_batch", "die_before_ack")


class WorkerKill(OneNode):
    """kill -9 at whatever it does."""

    name = "asr kill"

    async def inject(self, stack: Stack, random: Random) -> None:
        """Kill one at random."""
        kill(random.choice(stack.asr).process, random)


class WorkerDies(OneNode):
    """kill -9 at the worst moments: in a decode, in a batch, between result and acknowledgement."""

    name = "asr dies at work"

    async def inject(self, stack: Stack, random: Random) -> None:
        """Wait until one has died; if the moment does not come, kill it."""
        worker = random.choice(stack.asr)
        worker.order(random.choice(_MOMENTS))
        await _until_ended_or_killed(worker.process, random)


class WorkerOutOfMemory(OneNode):
    """An allocation fails, somewhere, from now on."""

    name = "asr out of memory"

    async def inject(self, stack: Stack, random: Random) -> None:
        """Leave one without memory for a while; then the manager replaces it, if it still runs."""
        worker = random.choice(stack.asr)
        worker.order("run_out_of_memory")
        await _until_ended_or_killed(worker.process, random)


class WorkerStop(OneNode):
    """SIGSTOP for 2 to 20 s."""

    name = "asr stop"

    async def inject(self, stack: Stack, random: Random) -> None:
        """Stop one at random."""
        await stop_for_a_while(random.choice(stack.asr).process, random)


class WorkerGarbage(OneNode):
    """A worker that takes work and answers what it should not, for some seconds."""

    name = "asr garbage"

    async def inject(self, stack: Stack, random: Random) -> None:
        """One kind of garbage from one worker; then the manager replaces it, if it still runs."""
        worker = random.choice(stack.asr)
        worker.order(random.choice(GARBAGE))
        await _until_ended_or_killed(worker.process, random, within_s=_GARBAGE_S)


class WorkerDrain(OneNode):
    """SIGTERM, as a rolling upgrade sends it."""

    name = "asr drain"

    async def inject(self, stack: Stack, random: Random) -> None:
        """All of them, one after the other, each once the one before serves again."""
        for worker in stack.asr:
            worker.process.signal(signal.SIGTERM)
            await worker.process.until_ended()
            await worker.process.until_serving()


class ChatKill(OneNode):
    """kill -9 in the middle of answers."""

    name = "llm kill"
    is_of_chat: ClassVar[bool] = True

    async def inject(self, stack: Stack, random: Random) -> None:
        """Kill one at random."""
        kill(random.choice(stack.llm), random)


class ChatStop(OneNode):
    """SIGSTOP for 2 to 20 s."""

    name = "llm stop"
    is_of_chat: ClassVar[bool] = True

    async def inject(self, stack: Stack, random: Random) -> None:
        """Stop one at random."""
        await stop_for_a_while(random.choice(stack.llm), random)


class ChatDrain(OneNode):
    """SIGTERM, as a rolling upgrade sends it."""

    name = "llm drain"
    is_of_chat: ClassVar[bool] = True

    async def inject(self, stack: Stack, random: Random) -> None:
        """All of them, one after the other."""
        for process in stack.llm:
            process.signal(signal.SIGTERM)
            await process.until_ended()
            await process.until_serving()


async def _until_ended_or_killed(process: Process, random: Random, *, within_s: float = _ORDER_WITHIN_S) -> None:
    try:
        async with asyncio.timeout(within_s):
            await process.until_ended()
    except TimeoutError:
        kill(process, random)
