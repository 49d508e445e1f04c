"""The whole service as its users run it: `harken up` as a child process, with real weights."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

_READY_WITHIN_S = 100.0
_STOPPED_WITHIN_S = 45.0


class Stack:
    """A running `harken up`."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    async def stop(self) -> int:
        """Ctrl-C, and the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(_STOPPED_WITHIN_S):
            return await self.process.wait()


@pytest.fixture
async def stack(tmp_path: Path, whisper_base_path: Path, silero_path: Path) -> AsyncIterator[Stack]:
    """A fresh service on a free port; whatever happens, nothing of it is left afterwards."""
    environ = {name: value for name, value in os.environ.items() if name != "NATS_URL"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "clients.cli.main", "up", "--port", "0", "--data-dir", str(tmp_path / "data")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environ,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_WITHIN_S):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("harken is ready: "), line
        yield Stack(process, line.split()[3])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.wait()
