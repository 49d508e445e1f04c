"""The model server that a worker starts: how it comes up, and how it goes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from bus.contract.chat_work import ChatMessage
from llm_workers.engines.base import EngineOptions, EngineUnavailable, Finished, GenerationFailed, Piece, Prompt
from llm_workers.engines.dialects import Dialect, chat_body
from llm_workers.engines.llama_process import LlamaProcess
from llm_workers.engines.openai_compatible import OpenAiCompatibleEngine

WITHIN_S = 60.0
ENDLESS = Prompt(
    session="s1",
    messages=(ChatMessage("user", "Tell me a very long story about the sea."),),
    max_tokens=800,
    temperature=0.0,
)
_PARENT = """
import asyncio, pathlib, sys
from llm_workers.engines.base import EngineOptions
from llm_workers.engines.llama_process import LlamaProcess

async def main():
    child = await LlamaProcess.start(EngineOptions(model_name="m", model_path=pathlib.Path(sys.argv[1]), slots=1))
    print(child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def options(path: Path | None) -> EngineOptions:
    return EngineOptions(model_name="m", model_path=path, device="cpu", slots=1, context_tokens=1024)


@pytest.fixture
async def engine(smollm2_path: Path) -> AsyncIterator[OpenAiCompatibleEngine]:
    opened = await OpenAiCompatibleEngine.open(options(smollm2_path))
    yield opened
    await opened.aclose()


@pytest.mark.weights
async def test_when_it_is_killed_who_waits_hears_it_and_the_engine_has_ended(engine: OpenAiCompatibleEngine) -> None:
    assert engine._child is not None
    events = engine.generate(ENDLESS)
    async with asyncio.timeout(WITHIN_S):
        assert isinstance(await anext(events), Piece)
        os.kill(engine._child.pid, signal.SIGKILL)
        with pytest.raises(GenerationFailed) as failure:
            async for _ in events:
                pass
        await engine.ended.wait()
    assert failure.value.retryable


@pytest.mark.weights
async def test_one_that_is_closed_is_gone_and_has_not_ended_by_itself(engine: OpenAiCompatibleEngine) -> None:
    assert engine._child is not None
    await engine.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(engine._child.pid, 0)
    assert not engine.ended.is_set()


@pytest.mark.weights
async def test_a_prompt_that_nobody_waits_for_any_more_is_not_read_to_its_end(engine: OpenAiCompatibleEngine) -> None:
    prompt = replace(ENDLESS, messages=(ChatMessage("user", "What comes after 7, 11 and 13? " * 12),), max_tokens=1)
    async with asyncio.timeout(WITHIN_S):
        async with aclosing(engine._server.stream(chat_body(Dialect.LLAMA_CPP, model="m", prompt=prompt))) as events:
            await anext(events)
        end = [event async for event in engine.generate(prompt)][-1]
    assert isinstance(end, Finished)
    assert end.cached_tokens < end.prompt_tokens / 2, "it had read all of it"


@pytest.mark.weights
async def test_it_leaves_the_cores_to_speech_and_its_worker_does_not(engine: OpenAiCompatibleEngine) -> None:
    assert engine._child is not None
    assert os.getpriority(os.PRIO_PROCESS, engine._child.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 5


@pytest.mark.weights
async def test_it_never_outlives_its_worker(smollm2_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT, str(smollm2_path)), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        child = os.pidfd_open(int(await parent.stdout.readline()))
        parent.kill()
        await parent.wait()
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(child, gone.set)
        await gone.wait()
    asyncio.get_running_loop().remove_reader(child)
    os.close(child)


async def test_a_file_that_is_no_model_is_refused_in_one_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"not a model")
    with pytest.raises(EngineUnavailable, match="llama.cpp"):
        await LlamaProcess.start(options(bad))


async def test_a_folder_must_have_one_gguf_file(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="there are 0"):
        await LlamaProcess.start(options(tmp_path))


async def test_without_weights_and_without_a_server_there_is_nothing_to_start() -> None:
    with pytest.raises(EngineUnavailable, match="no weights"):
        await LlamaProcess.start(options(None))


@pytest.mark.weights
async def test_no_proxy_of_the_environment_stands_before_it(
    smollm2_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    engine = await OpenAiCompatibleEngine.open(options(smollm2_path))
    await engine.aclose()
