"""The whole service as its users run it: `harken up` as a child process, with real weights."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

HARKEN = (sys.executable, "-m", "clients.cli.main")
_READY_WITHIN_S = 100.0
_SAID_WITHIN_S = 60.0
_STOPPED_WITHIN_S = 45.0


class Stack:
    """A running `harken up`; `read_log` must run all the while, or its processes would wait for a reader."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.url = ""
        self.nats_url = ""
        self._log: list[str] = []
        self._logged = asyncio.Condition()

    async def until_ready(self) -> None:
        """Wait for the one line on stdout, and learn the addresses from it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(_READY_WITHIN_S):
            self.url, self.nats_url = _addresses((await self.process.stdout.readline()).decode())

    async def read_log(self) -> None:
        """Keep what its processes say, until the last of them has ended."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self._logged:
                self._log.append(line.decode())
                self._logged.notify_all()

    async def until_logged(self, text: str, *, times: int = 1) -> None:
        """Wait until `text` was in so many lines since the start."""
        async with asyncio.timeout(_SAID_WITHIN_S), self._logged:
            await self._logged.wait_for(lambda: sum(text in line for line in self._log) >= times)

    def child(self, module: str) -> psutil.Process:
        """The process that runs `module`, or the first one that does."""
        return self.children(module)[0]

    def children(self, module: str) -> list[psutil.Process]:
        """The processes that run `module`, oldest first."""
        found = [one for one in psutil.Process(self.process.pid).children() if module in " ".join(one.cmdline())]
        return sorted(found, key=lambda one: one.create_time())

    async def stop(self) -> int:
        """Ctrl-C, and the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(_STOPPED_WITHIN_S):
            return await self.process.wait()


@pytest.fixture
async def stack(
    request: pytest.FixtureRequest, tmp_path: Path, whisper_base_path: Path, silero_path: Path
) -> AsyncIterator[Stack]:
    """A fresh service on a free port; whatever happens, nothing of it is left afterwards.

    An indirect parameter is more arguments of `harken up`.
    """
    process = await asyncio.create_subprocess_exec(
        *_up(tmp_path / "data"),
        *getattr(request, "param", ()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(),
    )
    stack = Stack(process)
    reading = asyncio.create_task(stack.read_log())
    try:
        await stack.until_ready()
        yield stack
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.wait()
        await reading


@pytest.fixture(scope="session")
def service_url(tmp_path_factory: pytest.TempPathFactory, whisper_base_path: Path, silero_path: Path) -> Iterator[str]:
    """Address of a service that all tests share which do it no harm."""
    with subprocess.Popen(
        _up(tmp_path_factory.mktemp("service")),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield _addresses(process.stdout.readline())[0]
        finally:
            process.send_signal(signal.SIGINT)


def _up(data_dir: Path) -> tuple[str, ...]:
    return (*HARKEN, "up", "--port", "0", "--data-dir", str(data_dir))


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NATS_URL"}


def _addresses(ready_line: str) -> tuple[str, str]:
    """Of the WebSocket and of NATS."""
    assert ready_line.startswith("harken is ready: "), "harken up did not become ready"
    websocket, _, nats = ready_line.split()[3:]
    return websocket, nats
