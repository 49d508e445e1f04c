"""`harken chat` and the SDK's side of chat against a real gateway, LLM workers with the scripted engine, and NATS."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bus.contract.client_protocol import ChatCancelled, ChatDone, ChatOptions, ChatStarted, TranscriptFinal
from bus.contract.errors import NothingToAnswer, NoWorker, UnknownModel
from clients.failures import AnswerCancelled
from clients.sdk import NO_AUDIO, AudioFormat, NoAudio, connect
from llm_workers.engines.scripted import expected_answer
from tests.integration.conftest import Launch
from tests.integration.gateway_client import speech
from tests.unit.clients.cli.terminal import CTRL_D, ENTER, environment, on_terminal

PATIENCE_S = 60.0
CHAT = "from clients.cli.chat import chat; chat()"
CHAT_OPTIONS = ChatOptions(auto=False)
SLOW = "tokens_per_s=50"
LONG = "count with me scripted:tokens=200"


async def answering_gateway(launch_gateway: Launch, launch_llm_worker: Launch, **settings: str) -> str:
    """The address of a gateway that knows its LLM worker."""
    gateway = await launch_gateway()
    await launch_llm_worker(**settings)
    return await until_known(gateway.port)


async def until_known(port: int, audio: AudioFormat | NoAudio = NO_AUDIO) -> str:
    """The address of a gateway, once it knows the workers for a session: heartbeats may be on their way at first."""
    url = f"ws://127.0.0.1:{port}"
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(NoWorker):
                async with connect(url, audio=audio, chat=CHAT_OPTIONS) as session:
                    if session.started.chat_model is not None:
                        return url


@asynccontextmanager
async def harken_chat(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHAT, *arguments), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment()
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(*arguments: str, stdin: str = "") -> tuple[int | None, str, str]:
    async with harken_chat(*arguments) as process:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), PATIENCE_S)
    return process.returncode, out.decode(), err.decode()


async def test_one_thing_is_asked_and_answered(launch_gateway: Launch, launch_llm_worker: Launch) -> None:
    url = await answering_gateway(launch_gateway, launch_llm_worker)
    code, out, err = await run("--once", "hello there", "--stats", "--url", url)
    assert (code, out) == (0, f"{expected_answer('hello there')}\n")
    assert "answer 24 tokens, scripted" in err


async def test_lines_on_a_pipe_are_turns(launch_gateway: Launch, launch_llm_worker: Launch) -> None:
    url = await answering_gateway(launch_gateway, launch_llm_worker)
    code, out, err = await run("--url", url, stdin="one two\nthree\n")
    assert (code, err) == (0, "")
    assert out.splitlines() == [expected_answer("one two"), expected_answer("three")]


async def test_at_a_terminal_a_new_line_stops_the_answer_and_is_answered(
    launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    url = await answering_gateway(launch_gateway, launch_llm_worker, HARKEN_LLM_ENGINE_SETTINGS=SLOW)
    async with on_terminal(CHAT, "--url", url) as terminal:
        await terminal.until("scripted answers")
        terminal.press(LONG + ENTER)
        await terminal.until("me.3")
        terminal.press(f"stop it{ENTER}")
        await terminal.until("(stopped)\n")
        await terminal.until("> stop it\n")
        await terminal.until("it.24\n")
        terminal.press(CTRL_D)
        assert await terminal.ended() == 0


async def test_a_worker_killed_in_mid_answer_leaves_no_trace_in_it(
    launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    first = await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW)
    url = await until_known(gateway.port)
    async with asyncio.timeout(PATIENCE_S):
        async with harken_chat("--url", url) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{LONG}\n".encode())
            begun = await process.stdout.readuntil(b"me.3")
            await first.stop(signal.SIGKILL)
            await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW)
            process.stdin.close()
            out, _ = await process.communicate()
    assert (begun + out).decode() == f"{expected_answer(LONG)}\n"
    assert process.returncode == 0


async def test_without_an_llm_worker_the_command_says_what_to_do(launch_gateway: Launch) -> None:
    gateway = await launch_gateway()
    code, out, err = await run("--once", "hello", "--url", f"ws://127.0.0.1:{gateway.port}")
    assert (code, out) == (1, "")
    assert "no LLM worker" in err
    assert "Start one with: harken up" in err


async def test_a_model_that_there_is_not_is_answered_with_those_that_there_are(
    launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    url = await answering_gateway(launch_gateway, launch_llm_worker)
    code, out, err = await run("--once", "hello", "--model", "llama", "--url", url)
    assert (code, out) == (1, "")
    assert "available: scripted" in err


async def test_the_sdk_answers_stops_and_asks_again(launch_gateway: Launch, launch_llm_worker: Launch) -> None:
    url = await answering_gateway(launch_gateway, launch_llm_worker, HARKEN_LLM_ENGINE_SETTINGS=SLOW)
    async with asyncio.timeout(PATIENCE_S), connect(url, audio=NO_AUDIO, chat=CHAT_OPTIONS) as session:
        answer = session.answer(LONG)
        with pytest.raises(AnswerCancelled):
            async for _ in answer:
                await session.cancel_answer()
        assert isinstance(answer.end, ChatCancelled)
        assert expected_answer(LONG).startswith(answer.text)
        with pytest.raises(NothingToAnswer):
            await anext(session.answer())
        await session.configure_chat(max_tokens=5)
        assert "".join([piece async for piece in session.answer("go on")]) == "go.1 on.2 go.3 on.4 go.5"
        await session.reset_chat()
        await session.configure_chat(model="llama")
        await session.end()
        kinds = [type(event) for event in [event async for event in session]]
    assert ChatStarted not in kinds


async def test_what_was_said_and_what_is_typed_are_answered_in_one_session(
    launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await launch_llm_worker()
    url = await until_known(gateway.port, AudioFormat())
    async with asyncio.timeout(PATIENCE_S), connect(url, language="en", chat=ChatOptions()) as session:
        assert "".join([piece async for piece in session.answer("hello")]) == expected_answer("hello")
        await session.send(speech())
        await session.end()
        events = [event async for event in session]
    said = [event.text for event in events if isinstance(event, TranscriptFinal)]
    done = [event for event in events if isinstance(event, ChatDone)]
    assert done[-1].text == expected_answer("\n".join(said))


async def test_nobody_to_answer_is_told_and_the_turn_can_be_retried(
    launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    gateway = await launch_gateway()
    async with asyncio.timeout(PATIENCE_S):
        async with connect(f"ws://127.0.0.1:{gateway.port}", audio=NO_AUDIO, chat=CHAT_OPTIONS) as session:
            with pytest.raises(NoWorker):
                await anext(session.answer("hello"))
            await launch_llm_worker()
            while True:
                try:
                    assert "".join([piece async for piece in session.answer()]) == expected_answer("hello")
                    break
                except NoWorker:  # its first heartbeat is on its way
                    pass


async def test_a_model_is_refused_before_the_session_opens(launch_gateway: Launch, launch_llm_worker: Launch) -> None:
    url = await answering_gateway(launch_gateway, launch_llm_worker)
    with pytest.raises(UnknownModel, match="available: scripted"):
        async with connect(url, audio=NO_AUDIO, chat=ChatOptions(model="llama")):
            pass
