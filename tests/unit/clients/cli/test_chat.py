"""`harken chat` without a terminal: a process of its own against a scripted service on a real socket."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from click.testing import CliRunner

from bus.contract.client_protocol import AudioFormat, ChatOptions, ChatSend
from clients.cli.chat import chat
from tests.unit.clients.cli.fake_portaudio import with_microphone
from tests.unit.clients.cli.terminal import environment, on_terminal
from tests.unit.clients.events import chat_started, delta, done, error
from tests.unit.clients.stub_chat import FAIL, HALF, HOLD, ChatScript
from tests.unit.clients.stub_service import NOBODY, StubService, StubSession, refusal

PATIENCE_S = 30.0
CHAT = "from clients.cli.chat import chat; chat()"
SECOND = bytes(32_000)


@asynccontextmanager
async def harken_chat(*arguments: str, program: str = CHAT, stdout: int = PIPE) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *arguments), stdin=PIPE, stdout=stdout, stderr=PIPE, env=environment()
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(*arguments: str, stdin: str = "", program: str = CHAT) -> tuple[int, str, str]:
    async with harken_chat(*arguments, program=program) as process:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), PATIENCE_S)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


async def test_once_writes_the_answer_to_stdout() -> None:
    async with StubService(ChatScript()) as service:
        code, out, err = await run("--once", "hi there", "--url", service.url)
    assert (code, out, err) == (0, "You said: hi there.\n", "")
    assert service.starts[0].audio is None


async def test_once_at_a_terminal_is_the_same() -> None:
    async with (
        StubService(ChatScript()) as service,
        on_terminal(CHAT, "--once", "a\x1b]0;title\x07b", "--url", service.url) as terminal,
    ):
        assert await terminal.ended() == 0
    assert terminal.shown == "You said: a]0;titleb.\n"


async def test_an_answer_is_written_while_it_comes_and_ctrl_c_leaves_a_whole_line() -> None:
    async with StubService(ChatScript()) as service:
        async with harken_chat("--once", f"{HOLD} on", "--url", service.url) as process:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_S):
                begun = await process.stdout.readuntil(HALF.encode())
                process.send_signal(signal.SIGINT)
                out, err = await process.communicate()
    assert (process.returncode, begun + out, err) == (130, f"{HALF}\n".encode(), b"")


async def test_each_line_of_standard_input_is_a_turn_of_one_conversation() -> None:
    script = ChatScript()
    async with StubService(script) as service:
        code, out, _ = await run("--url", service.url, stdin="one\n\n  two  \n/new")
    assert (code, out) == (0, "You said: one.\nYou said: two.\nYou said: /new.\n")
    assert script.commands == [
        ChatSend(text="one", id="m1"),
        ChatSend(text="two", id="m2"),
        ChatSend(text="/new", id="m3"),
    ]


async def test_a_turn_is_answered_before_the_next_one_is_there() -> None:
    async with StubService(ChatScript()) as service, harken_chat("--url", service.url) as process:
        assert process.stdin is not None and process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            for turn in ("one", "two"):
                process.stdin.write(f"{turn}\n".encode())
                assert await process.stdout.readline() == f"You said: {turn}.\n".encode()
            process.stdin.close()
            assert await process.wait() == 0


async def test_a_turn_that_fails_is_told_the_others_go_on_and_the_status_says_so() -> None:
    async with StubService(ChatScript()) as service:
        code, out, err = await run("--url", service.url, stdin=f"{FAIL}\none\n")
    assert (code, out, err) == (1, "You said: one.\n", "no answer: it broke off\n")


async def test_figures_go_to_stderr() -> None:
    async with StubService(ChatScript()) as service:
        code, out, err = await run("--once", "hi", "--stats", "--url", service.url)
    assert (code, out) == (0, "You said: hi.\n")
    assert err.startswith("first token 0.50 s, 18.7 tokens/s")


async def test_an_answer_that_was_cut_is_told_on_stderr() -> None:
    async def cut(session: StubSession) -> None:
        await session.open()
        await session.receive()
        await session.send(chat_started(2))
        await session.send(delta(3, "Half"))
        await session.send(done(4, "Half", finish_reason="length"))
        await session.socket.wait_closed()

    async with StubService(cut) as service:
        code, out, err = await run("--once", "hi", "--url", service.url)
    assert (code, out) == (0, "Half\n")
    assert err.startswith("(cut:")


async def test_the_options_reach_the_service() -> None:
    arguments = ("--key", "k-1", "--model", "scripted", "--system", "Be brief.", "--max-tokens", "7")
    async with StubService(ChatScript()) as service:
        code, _, _ = await run("--once", "hi", "--url", service.url, *arguments, "--temperature", "0")
    assert code == 0
    assert service.keys == ["Bearer k-1"]
    assert service.starts[0].chat == ChatOptions(
        instructions="Be brief.", model="scripted", max_tokens=7, temperature=0.0, auto=False
    )


async def test_nobody_there_is_one_clear_line() -> None:
    code, out, err = await run("--once", "hi", "--url", NOBODY)
    assert (code, out) == (1, "")
    assert "connection refused. Is the service running? Start it with: harken up" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("code", "told"), [("no_worker", "Start one with: harken up"), ("draining", "try again in a moment")]
)
async def test_a_service_that_cannot_answer_now_says_what_to_do(code: str, told: str) -> None:
    async with StubService(ChatScript()) as service:
        body = f'{{"error":{{"code":"{code}","message":"not now"}}}}'.encode()
        service.refusal = refusal(HTTPStatus.SERVICE_UNAVAILABLE, body)
        status, out, err = await run("--once", "hi", "--url", service.url)
    assert (status, out) == (1, "")
    assert err == f"Error: not now. {err.partition('. ')[2]}"
    assert told in err


async def test_a_model_that_there_is_not_is_refused_in_the_words_of_the_service() -> None:
    async def refuse(session: StubSession) -> None:
        await session.receive()
        await session.send(error(1, code="unknown_model", fatal=True))
        await session.socket.close(4404)

    async with StubService(refuse) as service:
        code, _, err = await run("--once", "hi", "--model", "llama", "--url", service.url)
    assert (code, err) == (1, "Error: what went wrong\n")


async def test_a_connection_that_breaks_ends_the_line_and_the_command() -> None:
    async def vanish(session: StubSession) -> None:
        await session.open()
        await session.receive()
        await session.send(chat_started(2))
        await session.send(delta(3, "Half"))
        session.socket.transport.abort()

    async with StubService(vanish) as service:
        code, out, err = await run("--url", service.url, stdin="one\ntwo\n")
    assert (code, out) == (1, "Half\n")
    assert "the connection closed before the session had ended" in err


async def test_a_reader_that_has_enough_ends_the_command_without_a_word() -> None:
    readable, writable = os.pipe()
    os.close(readable)
    async with StubService(ChatScript()) as service:
        async with harken_chat("--once", "hi", "--url", service.url, stdout=writable) as process:
            os.close(writable)
            _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, err) == (1, b"")


async def test_an_output_that_cannot_be_written_is_one_clear_line() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    async with StubService(ChatScript()) as service:
        async with harken_chat("--once", "hi", "--url", service.url, stdout=full) as process:
            os.close(full)
            _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 1
    assert b"the answer cannot be written: No space left on device" in err


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "speech"
    os.mkfifo(path)
    return path


async def test_without_a_terminal_what_is_spoken_is_answered_until_ctrl_c(fifo: Path) -> None:
    program = with_microphone(fifo, stays=True) + CHAT
    async with StubService(ChatScript()) as service:
        async with harken_chat("--mic", "--language", "en", "--url", service.url, program=program) as process:
            assert process.stdout is not None
            await asyncio.to_thread(fifo.write_bytes, SECOND * 2)
            async with asyncio.timeout(PATIENCE_S):
                lines = [await process.stdout.readline() for _ in range(2)]
                process.send_signal(signal.SIGINT)
                _, err = await process.communicate()
    assert (process.returncode, lines) == (0, [b"You said: segment 1.\n", b"You said: segment 2.\n"])
    assert err == b"> This is segment 1.\n> This is segment 2.\n"
    assert service.starts[0].audio == AudioFormat()
    assert service.starts[0].language == "en"
    assert service.starts[0].chat == ChatOptions()


async def test_without_a_terminal_a_microphone_that_goes_away_is_the_end(fifo: Path) -> None:
    program = with_microphone(fifo, stays=False) + CHAT
    async with StubService(ChatScript()) as service:
        async with harken_chat("--mic", "--url", service.url, program=program) as process:
            await asyncio.to_thread(fifo.write_bytes, b"")
            _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, err) == (1, b"Error: the microphone went away\n")


async def test_a_machine_without_microphone_says_so() -> None:
    code, _, err = await run("--mic", program="import sys; sys.modules['sounddevice'] = None\n" + CHAT)
    assert code == 1
    assert "--mic needs the extra package" in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--once", "hi", "--mic"), "exclude one another"),
        (("--once", " "), "needs something to ask"),
        (("--device", "1"), "--device goes with --mic"),
        (("--temperature", "3"), "0<=x<=2"),
        (("--max-tokens", "0"), "1<=x<=32768"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(arguments: tuple[str, ...], complaint: str) -> None:
    result = CliRunner().invoke(chat, list(arguments))
    assert result.exit_code == 2
    assert complaint in " ".join(result.output.split())
