"""Gateways that die, hang or leave, and networks that break."""

import asyncio
from random import Random
from typing import ClassVar

from tests.chaos.faults.base import PAUSES_S, OneNode, drain, kill, stop_for_a_while
from tests.chaos.stack import Stack

_REFUSES_S = (0.5, 2.0, 5.0)


class GatewayKill(OneNode):
    """kill -9: its sessions are taken up by the other one."""

    name = "gateway kill"

    async def inject(self, stack: Stack, random: Random) -> str:
        """Kill one at random."""
        return kill(random.choice(stack.gateways), random)


class GatewayStop(OneNode):
    """SIGSTOP for 2 to 20 s: when it goes on, its sessions are another's, or come back to it."""

    name = "gateway stop"

    async def inject(self, stack: Stack, random: Random) -> str:
        """Stop one at random."""
        return await stop_for_a_while(random.choice(stack.gateways), random)


class GatewayDrain(OneNode):
    """SIGTERM, as a rolling upgrade sends it: clients move, and see nothing of it."""

    name = "gateway drain"
    is_silent: ClassVar[bool] = True

    async def inject(self, stack: Stack, random: Random) -> str:
        """All of them, one after the other, each once the one before serves again."""
        return await drain(stack.gateways)


class SocketCut(OneNode):
    """All connections of one door break."""

    name = "socket cut"

    async def inject(self, stack: Stack, random: Random) -> str:
        """One to three times."""
        door = random.choice(stack.doors)
        cut = []
        for _ in range(random.randint(1, 3)):
            cut.append(door.cut())
            await asyncio.sleep(random.uniform(0.1, 1.0))
        return f"connections cut: {cut}"


class SocketStall(OneNode):
    """A door carries nothing any more for 2 to 20 s."""

    name = "socket stall"

    async def inject(self, stack: Stack, random: Random) -> str:
        """And then all that waited."""
        door = random.choice(stack.doors)
        pause_s = random.choice(PAUSES_S)
        door.stall()
        try:
            await asyncio.sleep(pause_s)
        finally:
            door.carry_on()
        return f"door {stack.doors.index(door)} stalled for {pause_s} s"


class SocketRefuse(OneNode):
    """A door is shut: connections break, and new ones are refused."""

    name = "socket refuse"

    async def inject(self, stack: Stack, random: Random) -> str:
        """For half a second to five."""
        door = random.choice(stack.doors)
        pause_s = random.choice(_REFUSES_S)
        door.refuse()
        try:
            await asyncio.sleep(pause_s)
        finally:
            await door.open()
        return f"door {stack.doors.index(door)} shut for {pause_s} s"
