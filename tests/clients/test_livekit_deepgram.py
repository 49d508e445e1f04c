"""LiveKit's Deepgram plugin in an environment of its own, whose interpreter `HARKEN_LIVEKIT_PYTHON` names."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, speech

INTERPRETER = os.environ.get("HARKEN_LIVEKIT_PYTHON", "")
SCRIPT = Path(__file__).with_name("livekit_deepgram.py")


@pytest.mark.weights
@pytest.mark.skipif(not INTERPRETER, reason="HARKEN_LIVEKIT_PYTHON names no interpreter that has LiveKit's plugin")
async def test_the_plugin_hears_speech_begin_and_end_and_all_of_the_text(
    launch_gateway: Launch, launch_worker: Launch, tmp_path: Path
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=any")
    await launch_worker()
    await became(gateway.port, 200)
    audio = tmp_path / "speech.raw"
    audio.write_bytes(speech(16))
    process = await asyncio.create_subprocess_exec(
        *(INTERPRETER, str(SCRIPT), str(gateway.port), str(audio)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    heard = json.loads(output)
    words = " ".join(heard["finals"]).split()
    assert len(words) == len(set(words)) > 20
    assert heard["counts"]["start_of_speech"] == heard["counts"]["end_of_speech"] >= 2
