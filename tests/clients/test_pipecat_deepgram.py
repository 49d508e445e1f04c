"""Pipecat's Deepgram service in an environment of its own, whose interpreter `HARKEN_PIPECAT_PYTHON` names."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, speech

INTERPRETER = os.environ.get("HARKEN_PIPECAT_PYTHON", "")
SCRIPT = Path(__file__).with_name("pipecat_deepgram.py")


@pytest.mark.weights
@pytest.mark.skipif(not INTERPRETER, reason="HARKEN_PIPECAT_PYTHON names no interpreter that has Pipecat")
async def test_the_service_transcribes_and_its_finalize_is_confirmed(
    launch_gateway: Launch, launch_worker: Launch, tmp_path: Path
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=any")
    await launch_worker()
    await became(gateway.port, 200)
    audio = tmp_path / "speech.raw"
    audio.write_bytes(speech(5))  # ends in mid-sentence
    process = await asyncio.create_subprocess_exec(
        *(INTERPRETER, str(SCRIPT), str(gateway.port), str(audio)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    heard = json.loads(output)
    assert heard["errors"] == []
    words = " ".join(heard["texts"]).split()
    assert len(words) == len(set(words)) > 8
