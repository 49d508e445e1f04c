"""The example of a spoken question, run as it stands against a stub of the service."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.unit.clients.events import chat_failed, chat_started, ended, final
from tests.unit.clients.stub_chat import ChatScript
from tests.unit.clients.stub_service import Behaviour, StubService, StubSession

EXAMPLE = Path(__file__).parents[2] / "examples" / "ask_by_voice.py"


async def ask(behaviour: Behaviour) -> tuple[int | None, str, str]:
    """Exit status, what was shown, and what was complained of."""
    async with StubService(behaviour) as service:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(EXAMPLE), "--url", service.url, stdout=PIPE, stderr=PIPE
        )
        shown, complaints = await process.communicate()
    return process.returncode, shown.decode(), complaints.decode()


async def test_what_is_heard_and_each_answer_are_shown() -> None:
    status, shown, complaints = await ask(ChatScript())
    assert (status, complaints) == (0, "")
    lines = shown.splitlines()
    assert lines[:2] == ["you:       This is segment 1.", "assistant: You said: segment 1."]
    assert lines[3].startswith("first words of the answer ")


async def answer_nothing(session: StubSession) -> None:
    await session.open()
    await session.send(ended(session.next_seq()))


async def fail(session: StubSession) -> None:
    await session.open()
    await session.send(final(session.next_seq(), text="How do you say it?"))
    await session.send(chat_started(session.next_seq()))
    await session.send(chat_failed(session.next_seq()))


@pytest.mark.parametrize(
    ("behaviour", "reason"), [(answer_nothing, "nothing to answer"), (fail, "it broke off [chat_failed]")]
)
async def test_no_answer_is_exit_status_1_with_the_reason(behaviour: Behaviour, reason: str) -> None:
    status, _, complaints = await ask(behaviour)
    assert status == 1
    assert complaints.startswith("error: ") and reason in complaints
