"""Pipecat's services in an environment of their own, whose interpreter `HARKEN_PIPECAT_PYTHON` names."""

from pathlib import Path

import pytest

from tests.clients.own_environment import needs, run_script
from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, speech

PIPECAT = "HARKEN_PIPECAT_PYTHON"


@needs(PIPECAT)
@pytest.mark.weights
async def test_the_deepgram_service_transcribes_and_its_finalize_is_confirmed(
    launch_gateway: Launch, launch_worker: Launch, tmp_path: Path
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=any")
    await launch_worker()
    await became(gateway.port, 200)
    audio = tmp_path / "speech.raw"
    audio.write_bytes(speech(5))  # ends in mid-sentence
    heard = await run_script(PIPECAT, "pipecat_stt.py", "deepgram", str(gateway.port), str(audio))
    assert heard["errors"] == []
    words = " ".join(heard["texts"]).split()
    assert len(words) == len(set(words)) > 8


@needs(PIPECAT)
@pytest.mark.parametrize("service", ["openai", "openai_vad"])
async def test_the_openai_service_transcribes_turn_by_turn_and_changes_its_language(
    launch_gateway: Launch, launch_worker: Launch, tmp_path: Path, service: str
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=any")
    await launch_worker()
    await became(gateway.port, 200)
    audio = tmp_path / "speech.raw"
    audio.write_bytes(speech(8) + bytes(64_000))
    heard = await run_script(PIPECAT, "pipecat_stt.py", service, str(gateway.port), str(audio))
    assert heard["errors"] == []
    assert len(heard["texts"]) == 2 and all(heard["texts"])
