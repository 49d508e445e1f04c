"""Patience with what should go on saying something."""

import asyncio
from types import TracebackType
from typing import Self


class Silence:
    """`async with Silence(limit_s)` raises TimeoutError once nothing broke it for so long.

    As `asyncio.timeout` that is put off each time, but for the price of a look at the clock: its timer looks, when it
    goes off, whether there was silence at all.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._scope = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + self._limit_s
        self._timer = self._loop.call_at(self._ends_at, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._scope.__aexit__(kind, error, trace)

    def broken(self, limit_s: float) -> None:
        """Something was said; the next silence may last `limit_s`."""
        ends_at = self._loop.time() + limit_s
        if ends_at < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(ends_at, self._look)
        self._ends_at = ends_at

    def _look(self) -> None:
        if self._loop.time() < self._ends_at:
            self._timer = self._loop.call_at(self._ends_at, self._look)
        else:
            self._scope.reschedule(self._loop.time())
