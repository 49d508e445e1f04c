"""One supervised child process: start, copy its output, start again when it crashes, stop when asked."""

import asyncio
import collections
import contextlib
import ctypes
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

from bus.control.child_spec import ChildSpec
from bus.control.console import LineSplitter, Show
from bus.control.ready_socket import ReadySocket
from bus.control.restart_policy import RestartOptions, RestartPolicy
from bus.runtime import readiness

_KEPT_LINES = 15
_LAST_OUTPUT_S = 0.5
_PR_SET_PDEATHSIG = 1
# Loaded here because nothing may be imported between fork and exec.
_LIBC = ctypes.CDLL(None, use_errno=True)


class CrashLoop(Exception):
    """A child that cannot stay up. The text has its last lines of output."""

    def __init__(self, name: str, status: str, crashes: int, last_lines: list[str]) -> None:
        super().__init__(f"{name} {status}, {crashes} times in a row. Its last lines:\n{_quoted(last_lines)}")
        self.name = name


class NeverReady(Exception):
    """A process that was to take over from another does not serve. The text has its last lines of output."""


class Child:
    """Runs `spec` until stopped. `run` belongs to one task; `stop` and `kill` come from others, any number of times."""

    def __init__(self, spec: ChildSpec, show: Show, options: RestartOptions) -> None:
        self.spec = spec
        self._show = show
        self._policy = RestartPolicy(options)
        self._last_lines: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._ready_socket = ReadySocket()
        self._first_exit = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process is not None else None

    async def run(self, gives_up_after: Callable[[], int | None]) -> None:
        """Keep the process running; returns after `stop`. Raises CrashLoop at `gives_up_after()` crashes in a row."""
        try:
            while not self._stopping.is_set():
                self._policy.on_start(time.monotonic())
                status = await self._run_once()
                self._first_exit.set()
                if self._stopping.is_set():
                    return
                restart = self._policy.on_exit(time.monotonic())
                limit = gives_up_after()
                if limit is not None and restart.crashes_in_a_row >= limit:
                    raise CrashLoop(self.spec.name, status, restart.crashes_in_a_row, list(self._last_lines))
                self._show(self.spec.name, f"{status}; starting again in {restart.delay_s:g} s")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), restart.delay_s)
        finally:
            self._ready_socket.close()
            self._ended.set()

    async def until_ready(self, timeout_s: float) -> None:
        """Return once the process says that it serves. Raises NeverReady if it ends first, or stays silent so long."""
        waits = [asyncio.create_task(event.wait()) for event in (self._ready_socket.ready, self._first_exit)]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self._ready_socket.ready.is_set():
            why = "ended" if self._first_exit.is_set() else f"was not ready within {timeout_s:g} s"
            raise NeverReady(f"the new {self.spec.name} {why}. Its last lines:\n{_quoted(self._last_lines)}")

    async def stop(self) -> bool:
        """SIGTERM, then SIGKILL after the budget; returns when the process is gone. False if it had to be killed."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), self.spec.stop_budget_s)
            return True
        self._signal(signal.SIGKILL)
        await self._ended.wait()
        return False

    def kill(self) -> None:
        """SIGKILL now, and do not start again."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            # The group, so that what the child itself has started goes with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    async def _run_once(self) -> str:
        self._ready_socket.expect()
        reading, writing = os.pipe()
        output = _Output(self._on_line)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: output, os.fdopen(reading, "rb", 0))
        try:
            try:
                self._process = await self._spawn(writing)
            except OSError as error:
                return f"could not be started: {error.strerror}"
            finally:
                os.close(writing)
            if self._stopping.is_set():  # stop() came while the process was being made and had nothing to signal
                self._signal(signal.SIGTERM)
            status = await self._process.wait()
            self._signal(signal.SIGKILL)
            # A process that the child left behind may hold the pipe open: the end of output is not waited for for ever.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(output.ended.wait(), _LAST_OUTPUT_S)
            return _describe(status)
        except BaseException:
            self._signal(signal.SIGKILL)
            raise
        finally:
            self._process = None
            transport.close()

    async def _spawn(self, output: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.spec.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**self.spec.environment, readiness.ENVIRONMENT: self._ready_socket.address},
            # A session of its own: Ctrl-C in the terminal reaches the supervisor only, which stops children in order.
            start_new_session=True,
            preexec_fn=functools.partial(_die_with_parent, os.getpid()) if sys.platform == "linux" else None,
        )

    def _on_line(self, line: str) -> None:
        self._last_lines.append(line)
        self._show(self.spec.name, line)


class _Output(asyncio.Protocol):
    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._splitter = LineSplitter()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        for line in self._splitter.feed(data):
            self._on_line(line)

    def connection_lost(self, exc: Exception | None) -> None:
        for line in self._splitter.flush():
            self._on_line(line)
        self.ended.set()


def _die_with_parent(parent_pid: int) -> None:
    # After kill -9 of the supervisor nobody is left to stop the children; the kernel does. It watches the thread that
    # forked, which is the one of the event loop. Every process survives SIGKILL without losing what was promised.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the line above
        os._exit(1)


def _quoted(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines) or "  (it printed nothing)"


def _describe(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"exited with status {status}"
