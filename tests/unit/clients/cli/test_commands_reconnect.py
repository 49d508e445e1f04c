"""The commands keep their session when its connection breaks, and say so in one line on stderr."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from http import HTTPStatus
from pathlib import Path

import pytest

from bus.contract.client_protocol import AudioFormat
from clients.cli.sources import Source
from clients.cli.transcription import Outcome
from tests.unit.clients.cli.benches import SECOND, Bench, pieces, run_one
from tests.unit.clients.cli.terminal import environment
from tests.unit.clients.events import chat_started, delta, done
from tests.unit.clients.stub_resume import ResumeStub
from tests.unit.clients.stub_service import NOBODY, StubService, refusal

pytestmark = pytest.mark.timeout(60)


async def run(command: str, *arguments: str, stdin: bytes = b"") -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"from clients.cli.{command} import {command}; {command}()", *arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=environment(),
    )
    out, err = await process.communicate(stdin)
    return process.returncode, out.decode(), err.decode()


async def test_a_connection_that_is_lost_is_mentioned_and_nothing_is_missing() -> None:
    stub = ResumeStub()
    stub.cuts_at_bytes.append(len(SECOND))
    outcome, bench = await run_one(stub, pieces(SECOND, SECOND, SECOND))
    assert outcome == Outcome()
    assert bench.paper.getvalue() == "This is segment 1.\nThis is segment 2.\nThis is segment 3.\n"
    lost, found = bench.screen.messages
    assert lost == "a: connection lost; reconnecting"
    assert re.fullmatch(r"a: reconnected after \d+\.\d s, nothing lost", found)


async def test_a_microphone_is_recorded_on_while_the_service_is_away() -> None:
    stub, all_taken, finish = ResumeStub(), asyncio.Event(), asyncio.Event()

    async def record() -> AsyncGenerator[bytes, None]:
        yield SECOND
        await bench.screen.said.wait()
        for _ in range(20):
            yield SECOND
        all_taken.set()
        await finish.wait()

    async with StubService(stub) as service:
        bench = Bench(service.url, Source("a", AudioFormat(), record, finish=finish.set))
        running = asyncio.create_task(bench.run())
        await stub.heard(len(SECOND))
        service.refusal = refusal(HTTPStatus.SERVICE_UNAVAILABLE, b"")
        stub.cut()
        await all_taken.wait()
        service.refusal = None
        await stub.heard(21 * len(SECOND))
        bench.stop.set()
        assert await running == [Outcome()]
    assert bytes(stub.session.audio) == SECOND * 21


async def test_what_is_written_for_machines_is_not_disturbed(tmp_path: Path) -> None:
    stub = ResumeStub()
    stub.cuts_at_bytes.append(len(SECOND))
    async with StubService(stub) as service:
        code, out, err = await run(
            *("transcribe", "-", "--raw-format", "s16le", "-f", "jsonl", "--url", NOBODY, "--url", service.url),
            stdin=SECOND * 2,
        )
    assert code == 0
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["This is segment 1.", "This is segment 2."]
    assert err.splitlines()[0] == "stdin: connection lost; reconnecting"
    assert len(err.splitlines()) == 2


async def test_an_answer_on_stdout_goes_on_where_it_was() -> None:
    stub = ResumeStub()
    async with StubService(stub) as service:
        running = asyncio.create_task(run("chat", "--once", "hello", "--url", f"{service.url},{NOBODY}"))
        await stub.turns_taken(1)
        await stub.send(chat_started(stub.session.next_seq(), name="m1"))
        await stub.send(delta(stub.session.next_seq(), "Hello "))
        stub.cut()
        await stub.connections(2)
        await stub.send(delta(stub.session.next_seq(), "there."))
        await stub.send(done(stub.session.next_seq(), "Hello there."))
        code, out, err = await running
    assert (code, out) == (0, "Hello there.\n")
    assert err.splitlines()[0] == "connection lost; reconnecting"
