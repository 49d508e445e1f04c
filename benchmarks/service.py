"""A service of our own for a benchmark, unless a URL is given."""

import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def service(url: str | None, *arguments: str) -> AsyncIterator[tuple[str, int | None]]:
    """The URL to use, and the process id of `harken up` if it was started here."""
    if url is not None:
        yield url, None
        return
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "clients.cli.main", "up", "--port", "0", "--data-dir", folder, *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        try:
            line = (await process.stdout.readline()).decode()
            if not line:
                raise RuntimeError("harken up did not start; run it by hand to see why")
            yield line.split()[3], process.pid
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            await process.wait()
