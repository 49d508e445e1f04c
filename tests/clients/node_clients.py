"""Scripts that drive clients from npm, run by Node; what they print is one JSON object."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent
_WITHIN_S = 60.0
NODE_CLIENTS = os.environ.get("HARKEN_NODE_CLIENTS", "")
"""The folder whose `node_modules` has what package.json here names."""


def needs(package: str) -> pytest.MarkDecorator:
    """Skip where Node or the package is not installed."""
    missing = shutil.which("node") is None or not (Path(NODE_CLIENTS or _HERE) / "node_modules" / package).exists()
    return pytest.mark.skipif(missing, reason=f"{package} is not installed: HARKEN_NODE_CLIENTS names its folder")


async def run_script(name: str, *arguments: str, **environ: str) -> dict[str, Any]:
    """What the script has printed once it is done."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(_HERE / name), *arguments),
        env={**os.environ, "HARKEN_NODE_CLIENTS": NODE_CLIENTS or str(_HERE), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        _, errors = await process.communicate()
        raise AssertionError(f"{name} does not end: {errors.decode()}") from None
    assert process.returncode == 0, errors.decode()
    result: dict[str, Any] = json.loads(output)
    return result
