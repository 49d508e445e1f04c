"""Workers that die, hang, answer nonsense or leave, for speech and for chat."""

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from random import Random
from typing import ClassVar

from bus.contract import subjects
from bus.contract.errors import BusUnavailable
from tests.chaos.faults.base import OneNode, drain, kill, stop_for_a_while, stopped
from tests.chaos.sabotage.orders import GARBAGE, Order
from tests.chaos.stack import Stack, Worker

_ORDER_WITHIN_S = 3.0
_DECODE_S = 0.1
_MOMENTS: tuple[Order, ...] = ("die_in_decode", "die_in_batch", "die_before_ack")


class WorkerKill(OneNode):
    """kill -9 while finals are decoded."""

    name = "asr kill"

    async def inject(self, stack: Stack, random: Random) -> str:
        """Kill one at random, while workers hold finals."""
        await _until_finals_are_held(stack)
        await asyncio.sleep(random.uniform(0.0, _DECODE_S))
        return kill(random.choice(stack.asr).process, random)


class AllWorkersKill(OneNode):
    """kill -9 of every worker for speech: nobody is left until they are started again."""

    name = "asr kill all"

    async def inject(self, stack: Stack, random: Random) -> str:
        """At once, while they hold finals."""
        await _until_finals_are_held(stack)
        return "; ".join(kill(worker.process, random) for worker in stack.asr)


class WorkerDies(OneNode):
    """kill -9 at the worst moments: in a decode, in a batch, between result and acknowledgement."""

    name = "asr dies at work"

    async def inject(self, stack: Stack, random: Random) -> str:
        """Wait until one has died; if the moment does not come, kill it."""
        worker = random.choice(stack.asr)
        moment = random.choice(_MOMENTS)
        if moment != "die_in_batch":
            return await _carry_out(worker, moment, random)
        async with AsyncExitStack() as others:
            for other in stack.asr:
                if other is not worker:
                    # What comes in the meantime waits for this worker, and makes a batch.
                    await others.enter_async_context(stopped(other.process))
            return await _carry_out(worker, moment, random)


class WorkerOutOfMemory(OneNode):
    """An allocation fails, somewhere, from now on."""

    name = "asr out of memory"

    async def inject(self, stack: Stack, random: Random) -> str:
        """Leave one without memory for a while; then the manager replaces it, if it still runs."""
        worker = random.choice(stack.asr)
        return await _carry_out(worker, "run_out_of_memory", random)


class WorkerStop(OneNode):
    """SIGSTOP for 2 to 20 s."""

    name = "asr stop"

    async def inject(self, stack: Stack, random: Random) -> str:
        """Stop one at random."""
        return await stop_for_a_while(random.choice(stack.asr).process, random)


class WorkerGarbage(OneNode):
    """A worker that takes work and answers what it should not, for some seconds."""

    name = "asr garbage"

    async def inject(self, stack: Stack, random: Random) -> str:
        """One kind of garbage from one worker; then the manager replaces it, if it still runs."""
        worker = random.choice(stack.asr)
        return await _carry_out(worker, random.choice(GARBAGE), random)


class WorkerDrain(OneNode):
    """SIGTERM, as a rolling upgrade sends it."""

    name = "asr drain"
    is_silent: ClassVar[bool] = True

    async def inject(self, stack: Stack, random: Random) -> str:
        """All of them, one after the other, each once the one before serves again."""
        return await drain(worker.process for worker in stack.asr)


class ChatKill(OneNode):
    """kill -9 in the middle of answers."""

    name = "llm kill"
    is_of_chat: ClassVar[bool] = True

    async def inject(self, stack: Stack, random: Random) -> str:
        """Kill one at random."""
        return kill(random.choice(stack.llm), random)


class ChatStop(OneNode):
    """SIGSTOP for 2 to 20 s."""

    name = "llm stop"
    is_of_chat: ClassVar[bool] = True

    async def inject(self, stack: Stack, random: Random) -> str:
        """Stop one at random."""
        return await stop_for_a_while(random.choice(stack.llm), random)


class ChatDrain(OneNode):
    """SIGTERM, as a rolling upgrade sends it."""

    name = "llm drain"
    is_silent: ClassVar[bool] = True
    is_of_chat: ClassVar[bool] = True

    async def inject(self, stack: Stack, random: Random) -> str:
        """All of them, one after the other."""
        return await drain(stack.llm)


async def _until_finals_are_held(stack: Stack) -> None:
    """Return once workers hold a final, or have held none for some seconds."""
    call = f"CONSUMER.INFO.{subjects.STREAM_ASR_FINAL}.{subjects.asr_consumer('std')}"
    # Not by a timeout around it: Python 3.11 may lose the one cancellation of that in the moment of an answer.
    until = time.monotonic() + _ORDER_WITHIN_S
    with suppress(BusUnavailable):
        while time.monotonic() < until and not (await stack.bus.request_api(call))["num_ack_pending"]:
            pass


async def _carry_out(worker: Worker, order: Order, random: Random) -> str:
    """Give an order, and have the manager replace who still runs some seconds later."""
    await worker.process.until_serving()
    worker.order(order)
    try:
        async with asyncio.timeout(_ORDER_WITHIN_S):
            status = await worker.process.until_ended()
    except TimeoutError:
        return f"{worker.process.name} was told to {order}; {kill(worker.process, random)}"
    return f"{worker.process.name} was told to {order}, and ended with {status}"
