"""A service of our own for a benchmark, unless a URL is given."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

EVERYBODY_COMES_IN: Final = {
    "HARKEN_GATEWAY_SESSIONS_PER_SLOT": "0",
    "HARKEN_GATEWAY_MAX_LAG_S": "600",
    "HARKEN_GATEWAY_MAX_PROCESS_LAG_S": "60",
    "HARKEN_GATEWAY_MAX_SCORING_SHARE": "60",
}
"""A benchmark decides itself how many come, and shows what that does to them."""


@asynccontextmanager
async def service(
    url: str | None, *arguments: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[str, int | None]]:
    """The URL to use, and the process id of `harken up` if it was started here, with `settings` in its environment."""
    if url is not None:
        yield url, None
        return
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "clients.cli.main", "up", "--port", "0", "--data-dir", folder, *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **EVERYBODY_COMES_IN, **(settings or {})},
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
