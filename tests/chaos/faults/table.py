"""All faults by name, and several of them at once."""

import asyncio
from random import Random
from typing import ClassVar

from tests.chaos.faults.base import NOTHING, Fault, OneNode
from tests.chaos.faults.broker import BrokerHang, BrokerRestart, BrokerWipe, LeaderKill, NodeStop, SlowConsumer
from tests.chaos.faults.gateways import GatewayDrain, GatewayKill, GatewayStop, SocketCut, SocketRefuse, SocketStall
from tests.chaos.faults.workers import (
    AllWorkersKill,
    ChatDrain,
    ChatKill,
    ChatStop,
    WorkerDies,
    WorkerDrain,
    WorkerGarbage,
    WorkerKill,
    WorkerOutOfMemory,
    WorkerStop,
)
from tests.chaos.stack import Stack

_SPREAD_S = 3.0


class Nothing(OneNode):
    """The undisturbed run that the others are compared with."""

    name = NOTHING

    async def inject(self, stack: Stack, random: Random) -> str:
        """Nothing."""
        return "nothing"


_SINGLE: tuple[Fault, ...] = (
    WorkerKill(),
    AllWorkersKill(),
    WorkerDies(),
    WorkerOutOfMemory(),
    WorkerStop(),
    WorkerGarbage(),
    WorkerDrain(),
    ChatKill(),
    ChatStop(),
    ChatDrain(),
    BrokerRestart(),
    BrokerHang(),
    SlowConsumer(),
    GatewayKill(),
    GatewayStop(),
    GatewayDrain(),
    SocketCut(),
    SocketStall(),
    SocketRefuse(),
)


class Many(OneNode):
    """Three to six faults within three seconds, whichever."""

    name: ClassVar[str] = "many"

    async def inject(self, stack: Stack, random: Random) -> str:
        """Each in a task of its own; ends when the last one has."""
        able = [fault for fault in _SINGLE if stack.llm or not fault.is_of_chat]
        async with asyncio.TaskGroup() as tasks:
            injecting = [
                tasks.create_task(_later(random.choice(able), stack, Random(random.getrandbits(64))))
                for _ in range(random.randint(3, 6))
            ]
        return "; ".join(one.result() for one in injecting)


async def _later(fault: Fault, stack: Stack, random: Random) -> str:
    after_s = random.uniform(0.0, _SPREAD_S)
    await asyncio.sleep(after_s)
    return f"after {after_s:.1f} s {await fault.inject(stack, random)}"


UNDISTURBED: Fault = Nothing()
FAULTS: dict[str, Fault] = {fault.name: fault for fault in (*_SINGLE, BrokerWipe(), LeaderKill(), NodeStop(), Many())}
