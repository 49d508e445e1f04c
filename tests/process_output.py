"""Reads what a child process says, with a bound on the wait."""

import asyncio


async def read_line(process: asyncio.subprocess.Process, *, timeout_s: float = 20.0) -> str:
    """The next line of its stdout; fails if the process ends or stays silent."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), timeout_s)
    assert line, f"the process ended with {process.returncode} without a line"
    return line.decode().rstrip("\n")
