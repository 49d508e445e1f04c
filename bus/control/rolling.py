"""Rolling restarts: every process is replaced by a new one of its kind, one after the other, while the service runs."""

import asyncio
from collections.abc import Callable

from bus.control.child import NeverReady
from bus.control.console import Show
from bus.control.supervisor import Supervisor

Tell = Callable[[str], None]
"""Takes one line of progress."""
READY_WITHIN_S = 180.0
"""A new process may load a model first, beside the old one that still uses it."""
_SAYS = "harken"


class RollingRestart:
    """One at a time: who asks while one runs hears the rest of that one. Loop thread only."""

    def __init__(self, supervisor: Supervisor, show: Show, *, ready_within_s: float = READY_WITHIN_S) -> None:
        self._supervisor = supervisor
        self._show = show
        self._ready_within_s = ready_within_s
        self._allowed = False
        self._running: asyncio.Task[str | None] | None = None
        self._listeners: list[Tell] = []

    def allow(self) -> None:
        """The service is ready: from now on there is something to replace."""
        self._allowed = True

    def begin(self) -> None:
        """Start one, unless one runs already. For the handler of a signal."""
        if not self._allowed:
            self._say("not ready yet, nothing is restarted")
        elif self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), name="rolling restart")

    async def run(self, tell: Tell) -> str | None:
        """Start one, or join the one that runs; returns why it ended early, None if all processes are new."""
        self._listeners.append(tell)
        try:
            self.begin()
            if self._running is None:
                return "the service is not ready yet"
            await asyncio.wait((self._running,))
            return "the service is being stopped" if self._running.cancelled() else self._running.result()
        finally:
            self._listeners.remove(tell)

    async def aclose(self) -> None:
        """End what runs, where it is; the supervisor stops whatever there is by then."""
        self._allowed = False
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> str | None:
        names = self._supervisor.restart_order()
        for number, name in enumerate(names, start=1):
            self._say(f"restarting {name} ({number} of {len(names)})")
            try:
                await self._supervisor.replace(name, ready_within_s=self._ready_within_s)
            except NeverReady as error:
                self._say(f"restart given up, the old {name} goes on: {error}")
                return str(error)
        self._say("restarted")
        return None

    def _say(self, text: str) -> None:
        for line in text.splitlines():
            self._show(_SAYS, line)
            for tell in tuple(self._listeners):
                tell(line)
