"""A set of children that live and stop together."""

import asyncio
from types import TracebackType
from typing import Self

from bus.control.child import Child
from bus.control.child_spec import ChildSpec, stop_order
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
        if self._draining is not None:
            raise RuntimeError("a draining supervisor starts nothing")
        child = Child(spec, self._show, self._options)
        self._children[spec.name] = child
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
        for child in self._children.values():
            child.kill()

    async def _supervise(self, child: Child) -> None:
        try:
            await child.run(lambda: self._gives_up_after)
        except Exception as error:  # whatever it is, it ends the stack: see failed()
            assert self._failure is not None
            if not self._failure.done():
                self._failure.set_result(error)

    async def _stop_in_order(self) -> None:
        for stage in stop_order([c.spec for c in self._children.values()]):
            results = await asyncio.gather(*(self._children[name].stop() for name in stage))
            for name, in_time in zip(stage, results, strict=True):
                if not in_time and not self._killed:
                    self._show(name, "did not stop in time and was killed")
        if self._tasks:
            await asyncio.wait(self._tasks)
