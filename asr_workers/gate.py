"""Jobs are fetched only while there is room for them: what a busy worker does not ask for, another may have."""

import asyncio
from contextlib import suppress

from asr_workers.held_jobs import Job, JobSource


class Gate:
    """For one kind of job; closed at first. One fetch at a time. Loop thread only."""

    def __init__(self) -> None:
        self._is_open = asyncio.Event()
        self._fetching: asyncio.Timeout | None = None

    def set(self, *, is_open: bool) -> None:
        """Let jobs be fetched, or not; a fetch that waits for one then waits for the gate instead."""
        if is_open:
            self._is_open.set()
            return
        self._is_open.clear()
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            fetching.reschedule(asyncio.get_running_loop().time())

    async def fetch(self, source: JobSource) -> Job | None:
        """The next job, once the gate is open; None if the source is closed. Cancel-safe."""
        while True:
            await self._is_open.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as self._fetching:
                    try:
                        return await source.fetch(wait_s=None)
                    finally:
                        self._fetching = None
