"""The clients of OpenAI Realtime from npm, unmodified."""

from pathlib import Path

import pytest

from llm_workers.engines.scripted import expected_answer
from tests.clients.node_clients import needs, run_script
from tests.integration.conftest import Launch
from tests.integration.gateway_client import became
from tests.integration.openai_client import speech_24k


@pytest.fixture
async def gateway(launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch) -> int:
    service = await launch_gateway()
    await launch_worker()
    await launch_llm_worker()
    await became(service.port, 200)
    return service.port


@needs("@openai/agents-realtime")
async def test_the_agents_sdk_keeps_a_history_of_typed_and_spoken_turns(gateway: int, tmp_path: Path) -> None:
    audio = tmp_path / "speech.pcm"
    audio.write_bytes(speech_24k() + bytes(3 * 48_000))  # what is said, and a silence of 3 s
    url = f"ws://127.0.0.1:{gateway}/v1/realtime?model=gpt-realtime"
    seen = await run_script("openai_agents.mjs", url, str(audio))
    assert (seen["misfits"], seen["errors"]) == ([], [])
    assert {"conversation.item.retrieved", "response.output_text.delta"} <= set(seen["kinds"])
    history = seen["history"]
    assert [item["role"] for item in history] == ["user", "assistant", "user", "assistant"]
    assert history[1]["content"][0]["text"] == expected_answer("hello there")
    transcript = history[2]["content"][0]["transcript"]
    assert transcript
    assert history[3]["content"][0]["text"] == expected_answer(transcript)


@needs("openai")
async def test_the_openai_package_transcribes_and_converses(gateway: int, tmp_path: Path) -> None:
    audio = tmp_path / "speech.pcm"
    audio.write_bytes(speech_24k(3))
    seen = await run_script("openai_npm.mjs", f"127.0.0.1:{gateway}", str(audio))
    assert seen["errors"] == []
    assert seen["transcript"]
    assert seen["response"]["output"][0]["content"][0]["text"] == expected_answer("hello there")
