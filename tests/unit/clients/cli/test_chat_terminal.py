"""`harken chat` at a terminal, as a process of its own against a scripted service on a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.unit.clients.cli.terminal import CTRL_D, ENTER, Terminal, on_terminal
from tests.unit.clients.stub_chat import ChatScript
from tests.unit.clients.stub_service import StubService

PROGRAM = "from clients.cli.chat import chat; chat()"


@asynccontextmanager
async def chatting(script: ChatScript, *arguments: str, columns: int = 80) -> AsyncIterator[Terminal]:
    async with (
        StubService(script) as service,
        on_terminal(PROGRAM, "--url", service.url, *arguments, columns=columns) as terminal,
    ):
        await terminal.until("smollm2 answers")
        yield terminal


async def test_a_typed_line_is_answered_above_the_next_and_ctrl_d_leaves() -> None:
    async with chatting(ChatScript()) as terminal:
        terminal.press(f"hi there{ENTER}")
        await terminal.until("> hi there\n")
        await terminal.until("You said: hi there.\n")
        terminal.press(CTRL_D)
        assert await terminal.ended() == 0
    assert "Traceback" not in terminal.shown
