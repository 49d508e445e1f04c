"""Scripts that drive clients which live in a Python environment of their own; what they print is one JSON object."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent


def needs(variable: str) -> pytest.MarkDecorator:
    """Skip unless the environment variable names an interpreter."""
    return pytest.mark.skipif(not os.environ.get(variable), reason=f"{variable} names no interpreter")


async def run_script(variable: str, name: str, *arguments: str) -> dict[str, Any]:
    """What the script has printed once it is done; scripts have a time limit of their own."""
    process = await asyncio.create_subprocess_exec(
        *(os.environ[variable], str(_HERE / name), *arguments),
        env={**os.environ, "OPENAI_API_KEY": "any", "OPENAI_AGENTS_DISABLE_TRACING": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    result: dict[str, Any] = json.loads(output)
    return result
