"""What must be done again on every new connection: assets first, then whoever asked, in order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bus.contract.errors import BusUnavailable, HarkenError

_FIRST_RETRY_S = 0.1
_MAX_RETRY_S = 1.0
_log = logging.getLogger(__name__)

Step = Callable[[], Awaitable[None]]


class Restoration:
    """Runs its steps in one task, which a newer connection replaces. Loop thread only."""

    def __init__(self) -> None:
        self._ensure_step: Step | None = None
        self._ensuring: asyncio.Future[None] | None = None
        self._callbacks: list[Step] = []
        self._running: asyncio.Task[None] | None = None

    def add(self, callback: Step) -> None:
        """Call it after each reconnect, after the assets."""
        self._callbacks.append(callback)

    def remove(self, callback: Step) -> None:
        """Undo `add`. Idempotent."""
        with suppress(ValueError):
            self._callbacks.remove(callback)

    async def keep_ensured(self, step: Step) -> None:
        """Run `step` now and, if that went well, first thing after each reconnect; it replaces the one before."""
        await step()
        self._ensure_step = step

    async def ensure(self) -> None:
        """Run the kept step, if any. Concurrent callers share one run; a cancelled caller does not cancel it.

        Raises what the step raises, and BusUnavailable if the run was given up for a newer connection.
        """
        if self._ensure_step is None:
            return
        if self._ensuring is None or self._ensuring.done():
            self._ensuring = asyncio.ensure_future(self._ensure_step())
            self._ensuring.add_done_callback(_consume)
        ensuring = self._ensuring
        await asyncio.wait((ensuring,))
        if ensuring.cancelled():
            # As CancelledError it would end a caller whom nobody has cancelled.
            raise BusUnavailable("the connection to NATS was replaced or closed meanwhile")
        ensuring.result()

    def begin(self) -> None:
        """Start over: a new connection stands."""
        for superseded in (self._running, self._ensuring):
            if superseded is not None:
                superseded.cancel()
        # Not to be shared any more: the answer to its request went with the connection before.
        self._ensuring = None
        self._running = asyncio.create_task(self._run(), name="bus-restoration")

    async def aclose(self) -> None:
        """Stop what runs. Idempotent."""
        running = [task for task in (self._running, self._ensuring) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self) -> None:
        await self._ensure_until_done()
        for callback in tuple(self._callbacks):
            try:
                await callback()
            except Exception:  # the callbacks after it must run all the same
                _log.exception("a step after the reconnect failed")

    async def _ensure_until_done(self) -> None:
        wait_s = _FIRST_RETRY_S
        while True:
            try:
                return await self.ensure()
            except HarkenError as error:
                _log.warning("assets not ensured yet, trying again", extra={"reason": error.message})
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _MAX_RETRY_S)


def _consume(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
