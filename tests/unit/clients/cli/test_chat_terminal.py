"""`harken chat` at a terminal, as a process of its own against a scripted service on a real socket."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bus.contract.client_protocol import ChatCancel, ChatConfigure, ChatOptions, ChatReset, ChatSend, SessionDraining
from tests.unit.clients.cli.fake_portaudio import with_microphone
from tests.unit.clients.cli.terminal import CTRL_C, CTRL_D, ENTER, UP, Terminal, on_terminal
from tests.unit.clients.events import ended
from tests.unit.clients.stub_chat import FAIL, HALF, HOLD, ChatScript
from tests.unit.clients.stub_service import NOBODY, Behaviour, StubService, StubSession

CHAT = "from clients.cli.chat import chat; chat()"
SECOND = bytes(32_000)


@asynccontextmanager
async def chatting(
    behaviour: Behaviour, *arguments: str, program: str = CHAT, columns: int = 80
) -> AsyncIterator[Terminal]:
    async with (
        StubService(behaviour) as service,
        on_terminal(program, "--url", service.url, *arguments, columns=columns) as terminal,
    ):
        await terminal.until("smollm2 answers")
        yield terminal
        assert "Traceback" not in terminal.shown


async def leave(terminal: Terminal) -> None:
    terminal.press(CTRL_D)
    assert await terminal.ended() == 0


async def test_a_typed_line_is_answered_and_ctrl_d_leaves() -> None:
    async with chatting(ChatScript()) as terminal:
        terminal.press(f"hi there{ENTER}")
        await terminal.until("> hi there\n")
        await terminal.until("You said: hi there.\n")
        await leave(terminal)


@pytest.mark.parametrize("key", [ENTER, CTRL_C])
async def test_a_running_answer_is_shown_while_it_comes_and_a_key_stops_it(key: str) -> None:
    script = ChatScript()
    async with chatting(script) as terminal:
        terminal.press(f"{HOLD} on{ENTER}")
        await terminal.until(HALF)
        terminal.press(key)
        await terminal.until(f"{HALF}\n")
        await terminal.until("(stopped)\n")
        await leave(terminal)
    assert script.commands == [ChatSend(text=f"{HOLD} on", id="m1"), ChatCancel(answer=1)]


async def test_ctrl_c_leaves_when_no_answer_runs_and_nothing_is_typed() -> None:
    async with chatting(ChatScript()) as terminal:
        terminal.press("never mind")
        await terminal.until("never mind")
        terminal.press(CTRL_C + CTRL_C)
        assert await terminal.ended() == 0


async def test_a_line_typed_into_an_answer_stops_it_and_is_answered() -> None:
    script = ChatScript()
    async with chatting(script) as terminal:
        terminal.press(f"{HOLD} on{ENTER}")
        await terminal.until(HALF)
        terminal.press(f"no, wait{ENTER}")
        for line in (HALF, "(stopped)", "> no, wait", "You said: no, wait."):
            await terminal.until(f"{line}\n")
        await leave(terminal)
    assert script.commands == [ChatSend(text=f"{HOLD} on", id="m1"), ChatSend(text="no, wait", id="m2")]


async def test_earlier_lines_come_back_with_the_arrow_key() -> None:
    script = ChatScript()
    async with chatting(script) as terminal:
        for line in ("one", "two"):
            terminal.press(line + ENTER)
            await terminal.until(f"You said: {line}.\n")
        for line in ("two", "one"):
            terminal.press(UP)
            await terminal.until(line)
        terminal.press(ENTER)
        await terminal.until("You said: one.\n")
        await leave(terminal)
    assert script.commands == [
        ChatSend(text="one", id="m1"),
        ChatSend(text="two", id="m2"),
        ChatSend(text="one", id="m3"),
    ]


async def test_commands_reach_the_service_and_its_objections_the_person() -> None:
    script = ChatScript()
    async with chatting(script) as terminal:
        terminal.press(f"/system Rhyme.{ENTER}/new{ENTER}/model llama{ENTER}")
        await terminal.until("no such model; there are: smollm2, scripted")
        await leave(terminal)
    assert script.commands == [
        ChatConfigure(instructions="Rhyme."),
        ChatReset(),
        ChatConfigure(model="llama"),
    ]


async def test_a_failed_answer_is_told_and_retry_has_it() -> None:
    async with chatting(ChatScript()) as terminal:
        terminal.press(f"{FAIL} once{ENTER}")
        await terminal.until("no answer: it broke off; /retry asks again")
        terminal.press(f"/retry{ENTER}")
        await terminal.until("You said: once.\n")
        await leave(terminal)


async def test_figures_come_with_each_answer_and_as_a_table() -> None:
    async with chatting(ChatScript(), "--stats") as terminal:
        terminal.press(f"hi{ENTER}")
        await terminal.until("18.7 tokens/s")
        terminal.press(f"/stats{ENTER}")
        await terminal.until("answer  first token  tokens/s")
        await leave(terminal)


async def test_the_options_of_the_command_line_reach_the_service() -> None:
    arguments = ("--key", "k-1", "--system", "Be brief.", "--max-tokens", "7", "--temperature", "0")
    async with (
        StubService(ChatScript()) as service,
        on_terminal(CHAT, "--url", service.url, "--model", "scripted", *arguments) as terminal,
    ):
        await terminal.until("scripted answers")
        await leave(terminal)
    assert service.keys == ["Bearer k-1"]
    assert service.starts[0].audio is None
    assert service.starts[0].chat == ChatOptions(
        instructions="Be brief.", model="scripted", max_tokens=7, temperature=0.0, auto=False
    )


async def test_a_session_that_was_lost_is_opened_again_by_the_next_line() -> None:
    async def drain_once(session: StubSession) -> None:
        if script.sessions:
            await script(session)
            return
        script.sessions += 1
        await session.open()
        await session.receive()
        await session.send(SessionDraining(seq=session.next_seq(), within_s=8.0))
        await session.send(ended(session.next_seq(), reason="draining"))

    script = ChatScript()
    async with chatting(drain_once) as terminal:
        terminal.press(f"hi{ENTER}")
        await terminal.until("the service is going away")
        await terminal.until("opens a new conversation; /retry sends your last turn again")
        terminal.press(f"/retry{ENTER}")
        await terminal.until("smollm2 answers; a new conversation")
        await terminal.until("You said: hi.\n")
        await leave(terminal)


async def test_a_service_that_is_gone_for_good_is_told_and_the_person_may_stay() -> None:
    async def vanish(session: StubSession) -> None:
        await session.open()
        await session.receive()
        session.socket.transport.abort()

    async with StubService(vanish) as service, on_terminal(CHAT, "--url", service.url) as terminal:
        await terminal.until("smollm2 answers")
        terminal.press(f"hi{ENTER}")
        await terminal.until("the connection closed before the session had ended")
        await service.__aexit__(None, None, None)
        terminal.press(f"hello?{ENTER}")
        await terminal.until("Start it with: harken up")
        await leave(terminal)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "speech"
    os.mkfifo(path)
    return path


async def test_what_is_spoken_stops_the_answer_is_shown_and_answered(fifo: Path) -> None:
    async with chatting(ChatScript(), "--mic", program=with_microphone(fifo, stays=True) + CHAT) as terminal:
        await terminal.until("listening")
        terminal.press(f"{HOLD} on{ENTER}")
        await terminal.until(HALF)
        await asyncio.to_thread(fifo.write_bytes, SECOND)
        for line in (HALF, "(stopped)", "> This is segment 1.", "You said: segment 1."):
            await terminal.until(f"{line}\n")
        await leave(terminal)


async def test_a_microphone_that_goes_away_leaves_the_keyboard(fifo: Path) -> None:
    async with chatting(ChatScript(), "--mic", program=with_microphone(fifo, stays=False) + CHAT) as terminal:
        await asyncio.to_thread(fifo.write_bytes, b"")
        await terminal.until("the microphone went away; type instead")
        terminal.press(f"hi{ENTER}")
        await terminal.until("You said: hi.\n")
        await leave(terminal)


async def test_nobody_there_is_one_clear_line() -> None:
    async with on_terminal(CHAT, "--url", NOBODY) as terminal:
        assert await terminal.ended() == 1
    assert "connection refused. Is the service running? Start it with: harken up" in " ".join(terminal.shown.split())
    assert "Traceback" not in terminal.shown


async def test_signals_do_what_keys_do() -> None:
    async with chatting(ChatScript()) as terminal:
        terminal.press(f"{HOLD} on{ENTER}")
        await terminal.until(HALF)
        terminal.process.send_signal(signal.SIGINT)
        await terminal.until("(stopped)")
        terminal.process.send_signal(signal.SIGTERM)
        assert await terminal.ended() == 0


@pytest.mark.parametrize(("arguments", "coloured"), [((), True), (("--no-color",), False)])
async def test_colours_can_be_left_out(arguments: tuple[str, ...], coloured: bool) -> None:
    async with chatting(ChatScript(), *arguments) as terminal:
        terminal.press(f"{FAIL}{ENTER}")
        await terminal.until("/retry asks again")
        await leave(terminal)
    assert ("\x1b[0;31m" in terminal.raw) is coloured


async def test_rows_are_cut_at_blanks_to_the_width_of_the_terminal() -> None:
    async with chatting(ChatScript(), columns=40) as terminal:
        terminal.press(f"a tale of two cities and some more words{ENTER}")
        await terminal.until("You said: a tale of two cities and some\n")
        await terminal.until("more words.\n")
        await leave(terminal)


async def test_what_would_steer_the_terminal_is_left_out_of_answers() -> None:
    async with chatting(ChatScript()) as terminal:
        terminal.press(f"\x1b[200~a\x1b]0;title\x07b\x1b[201~{ENTER}")
        await terminal.until("You said:")
        await leave(terminal)
    assert "\x1b]0;" not in terminal.raw
