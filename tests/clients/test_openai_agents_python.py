"""openai-agents for Python in an environment of its own, whose interpreter `HARKEN_OPENAI_AGENTS_PYTHON` names."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from llm_workers.engines.scripted import expected_answer
from tests.integration.conftest import Launch
from tests.integration.gateway_client import became
from tests.integration.openai_client import speech_24k

INTERPRETER = os.environ.get("HARKEN_OPENAI_AGENTS_PYTHON", "")
SCRIPT = Path(__file__).with_name("openai_agents_python.py")


@pytest.mark.skipif(not INTERPRETER, reason="HARKEN_OPENAI_AGENTS_PYTHON names no interpreter that has openai-agents")
async def test_the_agents_sdk_converses_and_its_voice_pipeline_listens(
    launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch, tmp_path: Path
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await launch_llm_worker()
    await became(gateway.port, 200)
    audio = tmp_path / "speech.pcm"
    audio.write_bytes(speech_24k() + bytes(3 * 48_000))  # what is said, and a silence of 3 s
    process = await asyncio.create_subprocess_exec(
        *(INTERPRETER, str(SCRIPT), str(gateway.port), str(audio)),
        env={**os.environ, "OPENAI_API_KEY": "any", "OPENAI_AGENTS_DISABLE_TRACING": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    seen = json.loads(output)
    conversation = seen["conversation"]
    assert conversation["errors"] == []
    assert conversation["roles"] == ["user", "assistant", "user", "assistant"]
    (typed, answer, spoken, answer_to_it) = (texts[0] for texts in conversation["texts"])
    assert (typed, answer, answer_to_it) == ("hello there", expected_answer(typed), expected_answer(spoken))
    assert seen["turns"] == [spoken]
