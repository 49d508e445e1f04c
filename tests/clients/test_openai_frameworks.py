"""Frameworks that speak OpenAI Realtime, each in an environment of its own: name its interpreter to run them."""

from pathlib import Path

import pytest

from llm_workers.engines.scripted import expected_answer
from tests.clients.own_environment import needs, run_script
from tests.integration.conftest import Launch
from tests.integration.gateway_client import became
from tests.integration.openai_client import speech_24k

AGENTS = "HARKEN_OPENAI_AGENTS_PYTHON"
LIVEKIT = "HARKEN_LIVEKIT_PYTHON"


@pytest.fixture
async def gateway(launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch) -> str:
    service = await launch_gateway()
    await launch_worker()
    await launch_llm_worker()
    await became(service.port, 200)
    return str(service.port)


@pytest.fixture
def audio(tmp_path: Path) -> str:
    """A file of what is said, and a silence of 3 s."""
    path = tmp_path / "speech.pcm"
    path.write_bytes(speech_24k() + bytes(3 * 48_000))
    return str(path)


@needs(AGENTS)
async def test_the_agents_sdk_converses_and_its_voice_pipeline_listens(gateway: str, audio: str) -> None:
    seen = await run_script(AGENTS, "openai_agents_python.py", gateway, audio)
    conversation = seen["conversation"]
    assert conversation["errors"] == []
    assert conversation["roles"] == ["user", "assistant", "user", "assistant"]
    (typed, answer, spoken, answer_to_it) = (texts[0] for texts in conversation["texts"])
    assert (typed, answer, answer_to_it) == ("hello there", expected_answer(typed), expected_answer(spoken))
    assert seen["turns"] == [spoken]


@needs(LIVEKIT)
async def test_livekit_listens_and_converses(gateway: str, audio: str) -> None:
    seen = await run_script(LIVEKIT, "livekit_openai.py", gateway, audio)
    assert seen["conversation"] == {"errors": [], "text": expected_answer("hello there")}
    kinds = seen["listened"]["kinds"]
    assert (kinds[0], kinds[-1]) == ("start_of_speech", "final_transcript")
    assert kinds.count("start_of_speech") == 2
    assert len(seen["listened"]["texts"]) == 2 and all(seen["listened"]["texts"])
