"""A server of somebody else: started in a process group of its own, and ended with all that it started."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bus.control.probes import free_port

HOST = "127.0.0.1"
_START_TIMEOUT_S = 180.0
_LOOK_EVERY_S = 0.2
_STOP_TIMEOUT_S = 5.0
_LINES_SHOWN = 8


class DidNotStart(RuntimeError):
    """The server ended, or opened no port. Says what it last wrote."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a server; `{port}` in an argument becomes the port that was chosen for it."""

    arguments: Sequence[str]
    environment: Mapping[str, str]


@asynccontextmanager
async def serving(command: Command, folder: Path) -> AsyncIterator[int]:
    """The port of a server that accepts connections. It runs in `folder`, and is gone on leaving, whatever happened.

    Raises DidNotStart.
    """
    port = free_port(HOST)
    log = folder / f"server-{port}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(one.replace("{port}", str(port)) for one in command.arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env={**os.environ, **command.environment},
            start_new_session=True,
        )
    try:
        if not await _accepts(process, port):
            last = log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]
            raise DidNotStart("\n".join([f"the server did not start (exit status {process.returncode}):", *last]))
        yield port
    finally:
        await asyncio.shield(_end(process))


async def _accepts(process: asyncio.subprocess.Process, port: int) -> bool:
    """Wait until somebody listens. False: the process ended, or took too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_TIMEOUT_S):
            while process.returncode is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(HOST, port)
                    writer.close()
                    return True
                await asyncio.sleep(_LOOK_EVERY_S)
    return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask the whole group, then insist. The group outlives its leader as long as anything in it runs."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
