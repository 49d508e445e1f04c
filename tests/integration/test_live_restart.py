"""A rolling restart of the real service under a session that speaks: its client sees no error and loses no word."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bus.contract.client_protocol import ErrorEvent, SessionEnded, TranscriptFailed, TranscriptFinal
from bus.control.probes import free_port
from clients.sdk import ConnectionChange, LiveSession, Reconnected, connect
from tests.integration.gateway_client import speech
from tests.integration.patience import needs_patience

pytestmark = [pytest.mark.weights, pytest.mark.nats, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
AUDIO = speech(40)
PIECE = 2 * 16_000 // 4
PIECE_S = 0.25


@asynccontextmanager
async def service(folder: Path, port: int) -> AsyncIterator[Process]:
    """`harken up` with two gateways and two workers, ready; what it says is left unread."""
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (folder / "model").mkdir(exist_ok=True)
        (folder / "model" / name).touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HARKEN_", "NATS_"))}
    cache = {name: os.environ[name] for name in ("HARKEN_CACHE_DIR",) if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from bus.control.up import up; up()", "--port", str(port), "--data-dir", str(folder)),
        *("--model", str(folder / "model"), "--gateways", "2", "--asr-workers", "2", "--llm-workers", "0"),
        env={**kept, **cache, "HARKEN_ASR_ENGINE": "scripted", "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        assert (await process.stdout.readline()).startswith(b"harken is ready")
        yield process
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def restart(folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from bus.control.restart import restart; restart()", "--data-dir", str(folder)),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode()


async def heard(session: LiveSession) -> list[str]:
    """The texts of a session until it ends, each segment once and in order, with no error."""
    finals: list[TranscriptFinal] = []
    async for event in session:
        assert not isinstance(event, ErrorEvent | TranscriptFailed), event
        if isinstance(event, TranscriptFinal):
            finals.append(event)
        if isinstance(event, SessionEnded):
            assert event.reason == "audio_end"
    assert [final.segment for final in finals] == list(range(1, len(finals) + 1))
    return [final.text for final in finals]


async def spoken(url: str, during: "asyncio.Task[str] | None", changes: list[ConnectionChange]) -> list[str]:
    """Say all of `AUDIO`, as fast as people do while `during` runs, and give what was heard."""
    async with connect(url, language="en", on_connection=changes.append) as session:
        hearing = asyncio.create_task(heard(session))
        for begin in range(0, len(AUDIO), PIECE):
            if during is not None and not during.done():
                await asyncio.wait((during,), timeout=PIECE_S)
            await session.send(AUDIO[begin : begin + PIECE])
        await session.end()
        return await hearing


@needs_patience
async def test_every_process_is_replaced_and_a_client_that_speaks_sees_no_error(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    url = f"ws://127.0.0.1:{port}"
    changes: list[ConnectionChange] = []
    async with service(tmp_path, port):
        restarting = asyncio.create_task(restart(tmp_path))
        texts = await spoken(url, restarting, changes)
        said = await restarting
        undisturbed = await spoken(url, None, [])
    assert said.splitlines()[-1] == "restarted"
    assert said.count("restarting") == 4
    assert any(isinstance(change, Reconnected) for change in changes), "its gateway was replaced too"
    assert texts == undisturbed and len(texts) > 3
