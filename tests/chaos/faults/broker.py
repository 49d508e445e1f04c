"""A broker that dies, forgets, hangs, loses its leader, or cuts who reads too slowly."""

import asyncio
from contextlib import suppress
from random import Random
from typing import ClassVar

from bus.contract import subjects
from bus.contract.errors import BusUnavailable
from tests.chaos.faults.base import OneNode, kill, stopped
from tests.chaos.process import Process
from tests.chaos.stack import Stack

_DOWN_S = (0.1, 0.5, 2.0)
_HANGS_S = (1.0, 3.0, 6.0)
_FLOOD_MESSAGES = 100
_FLOOD_BYTES = 1_000_000


class BrokerRestart(OneNode):
    """kill -9, and a start on the same store: what was in memory is gone, streams of windows and requests among it."""

    name = "nats restart"

    async def inject(self, stack: Stack, random: Random) -> str:
        """The only node."""
        return await _restart(stack.broker.nodes[0].process, random)


class BrokerWipe(OneNode):
    """kill -9, and a start on an empty store: records and sessions are gone too."""

    name = "nats wiped"
    loses_store: ClassVar[bool] = True

    async def inject(self, stack: Stack, random: Random) -> str:
        """The only node."""
        node = stack.broker.nodes[0]
        node.is_wiped_next = True
        return await _restart(node.process, random)


class BrokerHang(OneNode):
    """SIGSTOP for 1 to 6 s."""

    name = "nats stop"

    async def inject(self, stack: Stack, random: Random) -> str:
        """The only node."""
        return await _hang(stack.broker.nodes[0].process, random)


class LeaderKill(OneNode):
    """kill -9 of the node that leads the stream of transcripts, or that of finals, in a cluster of three."""

    name = "nats leader kill"
    nodes: ClassVar[int] = 3

    async def inject(self, stack: Stack, random: Random) -> str:
        """Ask who leads, and kill it."""
        stream = random.choice((subjects.STREAM_TRANSCRIPTS, subjects.STREAM_ASR_FINAL))
        node = await stack.broker.leader(stack.bus, stream)
        return f"leader of {stream}: {kill(node.process, random)}"


class NodeStop(OneNode):
    """One node of three hangs for some seconds: to its clients, a partition."""

    name = "nats node stop"
    nodes: ClassVar[int] = 3

    async def inject(self, stack: Stack, random: Random) -> str:
        """Any of them."""
        return await _hang(random.choice(stack.broker.nodes).process, random)


class SlowConsumer(OneNode):
    """The broker cuts a gateway or a worker that does not read what it subscribed to."""

    name = "slow consumer"

    async def inject(self, stack: Stack, random: Random) -> str:
        """Stop one, send more than the broker holds for it, and let it go on once it is cut."""
        processes = [*stack.gateways, *(worker.process for worker in stack.asr)]
        process = random.choice(processes)
        # What all that can be stopped here listen to, and refuse to read in a microsecond.
        to_gateways = process in stack.gateways
        subject = "presence.asr.chaos.w0" if to_gateways else subjects.cancel_asr("std")
        async with stopped(process):
            with suppress(BusUnavailable):  # another fault has taken the broker away
                for _ in range(_FLOOD_MESSAGES):
                    await stack.bus.publish(subject, bytes(_FLOOD_BYTES))
                    await stack.bus.flush()
        return f"{process.name} did not read {_FLOOD_MESSAGES} MB"


async def _restart(process: Process, random: Random) -> str:
    process.restart_after_s = random.choice(_DOWN_S)
    process.kill()
    await process.until_ended()
    await process.until_serving()
    return f"{process.name} was away for {process.restart_after_s} s"


async def _hang(process: Process, random: Random) -> str:
    pause_s = random.choice(_HANGS_S)
    async with stopped(process):
        await asyncio.sleep(pause_s)
    return f"{process.name} stopped for {pause_s} s"
