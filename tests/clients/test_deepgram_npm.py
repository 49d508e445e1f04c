"""@deepgram/sdk for Node, unmodified. `HARKEN_NODE_CLIENTS` names the folder whose `node_modules` has it."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, speech

SCRIPT = Path(__file__).with_name("deepgram_npm.cjs")
NODE = shutil.which("node")


def is_installed() -> bool:
    """Whether Node is here, and the SDK in the folder that is named, or beside the script."""
    folder = Path(os.environ.get("HARKEN_NODE_CLIENTS") or SCRIPT.parent)
    return NODE is not None and (folder / "node_modules" / "@deepgram" / "sdk").exists()


pytestmark = [pytest.mark.weights, pytest.mark.skipif(not is_installed(), reason="Node or @deepgram/sdk is not here")]


async def test_the_node_client_streams_finalizes_and_closes(
    launch_gateway: Launch, launch_worker: Launch, tmp_path: Path
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=any")
    await launch_worker()
    await became(gateway.port, 200)
    audio = tmp_path / "audio.raw"
    audio.write_bytes(speech(16))
    assert NODE is not None
    client = await asyncio.create_subprocess_exec(
        *(NODE, str(SCRIPT), str(gateway.port), str(audio)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            stdout, stderr = await client.communicate()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()

    messages = [json.loads(line) for line in stdout.splitlines()]
    assert stderr == b""
    assert messages[-1] == {"type": "closed", "code": 1000}
    assert messages[-2]["type"] == "Metadata"
    finals = [message for message in messages if message["type"] == "Results" and message["is_final"]]
    assert sum(final["duration"] for final in finals) == pytest.approx(16.0, abs=0.001)
    assert any(final["from_finalize"] for final in finals)
    words = " ".join(final["channel"]["alternatives"][0]["transcript"] for final in finals).split()
    assert len(words) == len(set(words)) > 20
