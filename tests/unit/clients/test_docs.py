"""The snippets of docs/sdk.md are programs: each runs as it stands."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.unit.clients.cli.recordings import write_recording
from tests.unit.clients.events import error
from tests.unit.clients.stub_chat import ChatScript
from tests.unit.clients.stub_resume import ResumeStub
from tests.unit.clients.stub_service import StubService, StubSession, transcribe_each_second

ROOT = Path(__file__).parents[3]
SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8"), re.DOTALL)
PATIENCE_S = 30.0


async def run_snippet(number: int, service: StubService, directory: Path) -> str:
    program = SNIPPETS[number].replace("ws://127.0.0.1:8080", service.url)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=directory, env={"PYTHONPATH": str(ROOT)}, stdout=-1, stderr=-1
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode()


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "  0.00  This is segment 1."),
        (1, ""),
        (2, "This is segment 1."),
        (3, "This is segment 1."),
        (6, "session s1 with model base"),
    ],
)
async def test_a_snippet_of_the_sdk_page_runs(tmp_path: Path, number: int, shown: str) -> None:
    write_recording(tmp_path / "speech.wav")
    async with StubService() as service:
        assert shown in await run_snippet(number, service, tmp_path)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (4, "You said: What is a message broker?.\n21 tokens in 1.5 s\n"),
        (5, "> This is segment 1.\nYou said: segment 1.\n"),
    ],
)
async def test_a_snippet_on_chat_runs(tmp_path: Path, number: int, shown: str) -> None:
    write_recording(tmp_path / "speech.wav")
    async with StubService(ChatScript()) as service:
        assert await run_snippet(number, service, tmp_path) == shown


async def test_the_retries_of_the_sdk_page_get_in_once_a_worker_is_there(tmp_path: Path) -> None:
    refused = 0

    async def refuse_once(session: StubSession) -> None:
        nonlocal refused
        if refused:
            await transcribe_each_second(session)
            return
        refused += 1
        await session.receive()
        await session.send(error(1, code="no_worker", retryable=True, fatal=True))
        await session.socket.close(1013)

    async with StubService(refuse_once) as service:
        assert "session s1 with model base" in await run_snippet(6, service, tmp_path)
    assert refused == 1


async def test_the_snippet_on_lost_connections_says_what_becomes_of_one(tmp_path: Path) -> None:
    write_recording(tmp_path / "speech.wav")
    stub = ResumeStub()
    stub.cuts_at_bytes.append(20_000)
    async with StubService(stub) as service:
        shown = await run_snippet(2, service, tmp_path)
    for line in ("This is segment 1.", "reconnecting: the connection closed before .*", r"back after \d+\.\d s"):
        assert re.search(f"^{line}$", shown, re.MULTILINE)


def test_every_snippet_is_tested() -> None:
    assert len(SNIPPETS) == 7
