"""A program that a test wants beside it: a browser, its screen, its sound."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from tests.browser.page import WITHIN_S


@asynccontextmanager
async def running(
    *command: str, environ: Mapping[str, str] | None = None, stdout: int = DEVNULL, stderr: int = DEVNULL
) -> AsyncIterator[Process]:
    """It ends with the context. `environ`: what is different from ours."""
    env = {**os.environ, **(environ or {})}
    process = await asyncio.create_subprocess_exec(*command, stdout=stdout, stderr=stderr, env=env)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def said(stream: asyncio.StreamReader | None, words: bytes) -> AsyncIterator[str]:
    """What stands behind `words` in the first line that has them; all that comes later is thrown away."""
    assert stream is not None
    async with asyncio.timeout(WITHIN_S):
        line = await stream.readline()
        while line and words not in line:
            line = await stream.readline()
    assert line, f"the program ended before it said {words!r}"
    quiet = asyncio.create_task(_discard(stream))
    try:
        yield line[line.index(words) + len(words) :].decode().strip()
    finally:
        quiet.cancel()


async def _discard(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass
