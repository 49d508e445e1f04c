"""Wakes all who wait for something to change; each looks for itself whether it was that."""

import asyncio
from collections.abc import Callable


class Pulse:
    """Of one event loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def beat(self) -> None:
        """Wake all who wait now."""
        self._event.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until `is_so`, which is asked now and at each beat. Cancel-safe."""
        while not is_so():
            await self.next_beat()

    async def next_beat(self) -> None:
        """Wait for the next beat. Cancel-safe."""
        self._event.clear()
        await self._event.wait()
