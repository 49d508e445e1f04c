"""A set of children that live and stop together."""

import asyncio
from types import TracebackType
from typing import Self

from bus.control.child import Child, NeverReady
from bus.control.child_spec import ChildSpec, restart_order, stop_order
from bus.control.console import Show
from bus.control.restart_policy import RestartOptions

_CRASHES_AT_START = 3


class Supervisor:
    """Async context manager; on leaving, every child has ended, in stop order.

    Until `mark_ready`, a child that crashes some times in a row is fatal (`failed`); later, children are restarted for
    as long as the supervisor lives.
    """

    def __init__(
        self, show: Show, *, options: RestartOptions | None = None, crashes_at_start: int = _CRASHES_AT_START
    ) -> None:
        self._show = show
        self._options = options or RestartOptions()
        self._gives_up_after: int | None = crashes_at_start
        self._children: dict[str, Child] = {}
        self._leaving: set[Child] = set()
        """Those that are replaced, or did not become what was to replace another."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[Exception] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._killed = False

    async def __aenter__(self) -> Self:
        self._failure = asyncio.get_running_loop().create_future()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain()

    def start(self, spec: ChildSpec) -> Child:
        """Begin to run `spec`; returns before the process exists. Not after `drain`."""
        child = self._children[spec.name] = self._begin(spec)
        return child

    def restart_order(self) -> list[str]:
        """The names of those that `replace` may be called for, in order."""
        return restart_order([child.spec for child in self._children.values()])

    async def replace(self, name: str, *, ready_within_s: float) -> None:
        """Start another process for `name`, and once that serves end the one before, within its budget.

        Raises NeverReady if the new one does not serve; the old one then goes on as if nothing had been. Cancelled, it
        leaves both to `drain`.
        """
        old = self._children[name]
        new = self._begin(old.spec)
        self._leaving.add(new)
        try:
            await new.until_ready(ready_within_s)
        except NeverReady:
            await self._end(new)
            raise
        self._leaving.remove(new)
        self._leaving.add(old)
        self._children[name] = new
        await self._end(old)

    async def _end(self, child: Child) -> None:
        in_time = await child.stop()
        self._leaving.discard(child)
        if not in_time and not self._killed:
            self._show(child.spec.name, "did not stop in time and was killed")

    def _begin(self, spec: ChildSpec) -> Child:
        if self._draining is not None:
            raise RuntimeError("a draining supervisor starts nothing")
        child = Child(spec, self._show, self._options)
        task = asyncio.create_task(self._supervise(child), name=f"supervise {spec.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return child

    def mark_ready(self) -> None:
        """From now on crashes are never fatal."""
        self._gives_up_after = None

    async def failed(self) -> Exception:
        """Wait until a child cannot be kept running and say why (a CrashLoop, as a rule). Cancel-safe."""
        assert self._failure is not None
        return await asyncio.shield(self._failure)

    async def drain(self) -> None:
        """Stop all children, stage by stage, each within its budget. Idempotent; goes on if the caller is cancelled."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._stop_in_order(), name="drain")
        await asyncio.shield(self._draining)

    def kill_all(self) -> None:
        """SIGKILL to every child at once; a drain in progress then ends."""
        self._killed = True
        for child in (*self._children.values(), *self._leaving):
            child.kill()

    async def _supervise(self, child: Child) -> None:
        try:
            await child.run(lambda: self._gives_up_after)
        except Exception as error:  # whatever it is, it ends the stack: see failed()
            assert self._failure is not None
            if not self._failure.done():
                self._failure.set_result(error)

    async def _stop_in_order(self) -> None:
        leaving = tuple(self._leaving)
        for stage in stop_order([c.spec for c in self._children.values()]):
            await asyncio.gather(*(self._end(child) for child in (*leaving, *map(self._children.__getitem__, stage))))
            leaving = ()
        if self._tasks:
            await asyncio.wait(self._tasks)
