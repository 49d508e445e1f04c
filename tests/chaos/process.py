"""One process of the stack, with what a process manager does: it is started again, a moment after it ended."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from bus.transport.server_binary import die_with_parent

STARTED_WITHIN_S = 60.0
_POLL_S = 0.02


class NotServing(Exception):
    """A process did not say in time that it serves; the text names its output."""


class Process:
    """Keeps one command running between `start` and `close`. Loop thread only.

    It serves once its output has `ready`; the output of each life is a file of its own in `folder`.
    """

    def __init__(
        self,
        name: str,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        folder: Path,
        *,
        ready: str,
        before_start: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.restart_after_s = 0.3
        """How long the manager waits before it starts the process again."""
        self._argv = argv
        self._environment = environment
        self._folder = folder
        self._ready = ready.encode()
        self._before_start = before_start
        self._lives = 0
        self._killed = 0
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and have it kept."""
        await self._spawn()
        self._keeping = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    @property
    def pid(self) -> int | None:
        """Of the life that runs now."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def lives(self) -> int:
        """How often it was started."""
        return self._lives

    @property
    def output(self) -> Path:
        """What the newest life has written."""
        return self._folder / f"{self.name}.{self._lives}.log"

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; False if no life runs."""
        pid = self.pid
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return True

    def kill(self) -> bool:
        """SIGKILL, as a crash or the kernel would; False if no life runs."""
        if self.pid is not None:
            self._killed = self._lives
        return self.signal(signal.SIGKILL)

    async def until_ended(self) -> int:
        """Return once the life that runs now, if any, has ended: its exit status."""
        return 0 if self._process is None else await self._process.wait()

    async def until_serving(self) -> None:
        """Return once a life runs that has said it serves. Raises NotServing."""
        try:
            async with asyncio.timeout(STARTED_WITHIN_S):
                while not self.is_serving():  # noqa: ASYNC110 - a file of another process, which cannot wake us
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise NotServing(f"{self.name} does not serve; its output is in {self.output}") from None

    def is_serving(self) -> bool:
        """Whether the life that runs has said so. One that was killed may not have ended yet, and serves no more."""
        if self.pid is None or self._lives == self._killed:
            return False
        with suppress(FileNotFoundError):
            return self._ready in self.output.read_bytes()
        return False

    async def close(self) -> None:
        """End it for good. Idempotent."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        self.signal(signal.SIGKILL)
        await self.until_ended()

    async def _keep(self) -> None:
        while True:
            await self.until_ended()
            await asyncio.sleep(self.restart_after_s)
            await self._spawn()

    async def _spawn(self) -> None:
        parent = os.getpid()
        self._before_start()
        self._lives += 1
        with self.output.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                env=dict(self._environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C reaches the runner, which ends what it has started.
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(parent),
            )
