"""How `harken restart` reaches the `harken up` that runs: a socket among its data, one JSON object per line.

The command sends `{"ask": "restart"}`. The answer is lines with `say`, and one last line with `failed`: null, or why.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bus.control.rolling import RollingRestart

_FILE = "harken.sock"
_MAX_LINE_BYTES = 16 * 1024
_ASK_WITHIN_S = 5.0
_LAST_WORDS_S = 1.0


class NotRunning(Exception):
    """No `harken up` listens where it was looked for."""


def socket_path(data_dir: Path) -> Path:
    """Where the `harken up` with this data listens."""
    return data_dir / _FILE


@asynccontextmanager
async def control_socket(path: Path, restart: RollingRestart) -> AsyncIterator[None]:
    """Listen while the block runs. Raises OSError if that cannot be, as where another `harken up` listens already."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if await _somebody_listens(path):
        raise OSError("another harken up uses this data")
    _remove(path)  # of one that was killed
    visitors: set[asyncio.Task[None]] = set()

    async def on_visitor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        visitors.add(task)
        try:
            await _serve(reader, writer, restart)
        except (OSError, TimeoutError, ValueError):
            pass  # who hung up does not want to know; a restart that was begun goes on
        finally:
            visitors.discard(task)
            writer.close()

    mask = os.umask(0o177)  # nobody else's business
    try:
        server = await asyncio.start_unix_server(on_visitor, path, limit=_MAX_LINE_BYTES)
    finally:
        os.umask(mask)
    try:
        yield
    finally:
        server.close()
        if visitors:
            await asyncio.wait(visitors, timeout=_LAST_WORDS_S)
        _remove(path)


async def ask_restart(path: Path, say: Callable[[str], None]) -> str | None:
    """Have every process replaced; returns why that ended early, None if all are new. Raises NotRunning."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=_MAX_LINE_BYTES)
    except OSError as error:
        raise NotRunning(f"no harken up listens at {path}: {error.strerror}") from None
    try:
        writer.write(_line({"ask": "restart"}))
        while line := await reader.readline():
            answer = json.loads(line)
            if "say" in answer:
                say(answer["say"])
            else:
                failed: str | None = answer["failed"]
                return failed
        return "harken up ended before it was done"
    finally:
        writer.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, restart: RollingRestart) -> None:
    async with asyncio.timeout(_ASK_WITHIN_S):
        ask = json.loads(await reader.readline())
    if ask != {"ask": "restart"}:
        writer.write(_line({"failed": "it does not know what was asked for"}))
    else:
        failed = await restart.run(lambda text: writer.write(_line({"say": text})))
        writer.write(_line({"failed": failed}))
    await writer.drain()


async def _somebody_listens(path: Path) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_unix_connection(path)
        writer.close()
        return True
    return False


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
