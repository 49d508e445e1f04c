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
_STOPPED_WITHIN_S = 45.0


class Stack:
    """A running `harken up`."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    @property
    def nats_url(self) -> str:
        """Where its own broker listens: told to its children alone."""
        return str(self.child("asr_workers").environ()["NATS_URL"])

    def child(self, module: str) -> psutil.Process:
        """The process that runs `module`."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if module in " ".join(child.cmdline()))

    async def stop(self) -> int:
        """Ctrl-C, and the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(_STOPPED_WITHIN_S):
            return await self.process.wait()


@pytest.fixture
async def stack(tmp_path: Path, whisper_base_path: Path, silero_path: Path) -> AsyncIterator[Stack]:
    """A fresh service on a free port; whatever happens, nothing of it is left afterwards."""
    process = await asyncio.create_subprocess_exec(
        *_up(tmp_path / "data"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=_environment()
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_WITHIN_S):
            line = (await process.stdout.readline()).decode()
        yield Stack(process, _url(line))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.wait()


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
            yield _url(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGINT)


def _up(data_dir: Path) -> tuple[str, ...]:
    return (*HARKEN, "up", "--port", "0", "--data-dir", str(data_dir))


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NATS_URL"}


def _url(ready_line: str) -> str:
    assert ready_line.startswith("harken is ready: "), "harken up did not become ready"
    return ready_line.split()[3]
