"""Gateways that die, hang or leave, and networks that break."""

import asyncio
import signal
from random import Random

from tests.chaos.faults.base import PAUSES_S, OneNode, kill, stop_for_a_while
from tests.chaos.stack import Stack

_REFUSES_S = (0.5, 2.0, 5.0)


class GatewayKill(OneNode):
    """kill -9: its sessions are taken up by the other one."""

    name = "gateway kill"

    async def inject(self, stack: Stack, random: Random) -> None:
        """Kill one at random."""
        kill(random.choice(stack.gateways), random)


class GatewayStop(OneNode):
    """SIGSTOP for 2 to 20 s: when it goes on, its sessions are another's, or come back to it."""

    name = "gateway stop"

    async def inject(self, stack: Stack, random: Random) -> None:
        """Stop one at random."""
        await stop_for_a_while(random.choice(stack.gateways), random)


class GatewayDrain(OneNode):
    """SIGTERM, as a rolling upgrade sends it: clients move, and see nothing of it."""

    name = "gateway drain"

    async def inject(self, stack: Stack, random: Random) -> None:
        """All of them, one after the other, each once the one before serves again."""
        for process in stack.gateways:
            process.signal(signal.SIGTERM)
            await process.until_ended()
            await process.until_serving()


class SocketCut(OneNode):
    """All connections of one door break."""

    name = "socket cut"

    async def inject(self, stack: Stack, random: Random) -> None:
        """One to three times."""
        door = random.choice(stack.doors)
        for _ in range(random.randint(1, 3)):
            door.cut()
            await asyncio.sleep(random.uniform(0.1, 1.0))


class SocketStall(OneNode):
    """A door carries nothing any more for 2 to 20 s."""

    name = "socket stall"

    async def inject(self, stack: Stack, random: Random) -> None:
        """And then all that waited."""
        door = random.choice(stack.doors)
        door.stall()
        try:
            await asyncio.sleep(random.choice(PAUSES_S))
        finally:
            door.carry_on()


class SocketRefuse(OneNode):
    """A door is shut: connections break, and new ones are refused."""

    name = "socket refuse"

    async def inject(self, stack: Stack, random: Random) -> None:
        """For half a second to five."""
        door = random.choice(stack.doors)
        door.refuse()
        try:
            await asyncio.sleep(random.choice(_REFUSES_S))
        finally:
            await door.open()
