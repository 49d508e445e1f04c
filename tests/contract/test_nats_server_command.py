"""`python -m bus.nats_server`, as the Procfile runs it."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from bus.control.probes import free_port
from bus.transport.connection import BusConnection

Run = Callable[..., Awaitable[Process]]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Starts the command with arguments; ends it after the test."""
    async with AsyncExitStack() as stack:

        async def start(*arguments: str, environment: dict[str, str] | None = None) -> Process:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bus.nats_server",
                *arguments,
                env={**os.environ, **(environment or {})},
                stdout=PIPE,
                stderr=PIPE,
            )
            stack.push_async_callback(_end, process)
            return process

        yield start


async def test_it_becomes_the_server(run: Run, tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    process = await run("--data-dir", str(tmp_path), "--port", str(port))
    connection = await _connect(port)
    assert psutil.Process(process.pid).name() == "nats-server"
    await connection.aclose()
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_second_one_on_the_same_store_ends_with_an_error_that_names_it(run: Run, tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    await run("--data-dir", str(tmp_path), "--port", str(port))
    await (await _connect(port)).aclose()
    code, errors = await _fails(await run("--data-dir", str(tmp_path), "--port", str(free_port("127.0.0.1"))))
    assert code == 1
    assert str(tmp_path) in errors and "Traceback" not in errors


async def test_an_unknown_setting_is_refused_with_a_suggestion(run: Run, tmp_path: Path) -> None:
    process = await run("--data-dir", str(tmp_path), environment={"HARKEN_NATS_PROT": "1"})
    code, errors = await _fails(process)
    assert code == 1
    assert "HARKEN_NATS_PROT: did you mean HARKEN_NATS_PORT?" in errors


async def test_listening_beyond_loopback_needs_credentials(run: Run, tmp_path: Path) -> None:
    code, errors = await _fails(await run("--data-dir", str(tmp_path), "--host", "0.0.0.0"))
    assert code == 2
    assert "credentials" in errors


async def test_a_disk_too_small_for_the_streams_is_refused(run: Run, tmp_path: Path) -> None:
    code, errors = await _fails(await run("--data-dir", str(tmp_path), "--max-file-bytes", str(2**32)))
    assert code == 2
    assert "--max-file-bytes" in errors


async def test_it_can_listen_on_the_loopback_of_ipv6(run: Run, tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    await run("--data-dir", str(tmp_path), "--host", "::1", "--port", str(port))
    await (await _connect(port, host="[::1]")).aclose()


async def test_credentials_are_read_from_a_file(run: Run, tmp_path: Path) -> None:
    credentials, port = tmp_path / "credentials.json", free_port("127.0.0.1")
    credentials.write_text(json.dumps({"admin": "secret"}))
    await run("--data-dir", str(tmp_path), "--port", str(port), "--credentials-file", str(credentials))
    await (await _connect(port, login="admin:secret@")).aclose()


@pytest.mark.parametrize("text", ['["admin"]', '{"admin": 1}', '{"nobody": "x"}', "not json"])
async def test_a_bad_credentials_file_is_refused(run: Run, tmp_path: Path, text: str) -> None:
    credentials = tmp_path / "credentials.json"
    credentials.write_text(text)
    code, errors = await _fails(await run("--data-dir", str(tmp_path), "--credentials-file", str(credentials)))
    assert code == 1
    assert "Traceback" not in errors


@pytest.mark.skipif(sys.platform != "linux", reason="the signal at a parent's death is Linux's")
async def test_it_can_end_with_its_parent(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    script = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-m', 'bus.nats_server', '--data-dir', {str(tmp_path)!r},"
        f" '--port', '{port}', '--die-with-parent'])\n"
        "sys.stdin.read()\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdin=PIPE)
    await (await _connect(port)).aclose()
    (server,) = psutil.Process(parent.pid).children()
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(psutil.wait_procs, [server], timeout=5)
    assert not server.is_running()


async def _connect(port: int, *, login: str = "", host: str = "127.0.0.1") -> BusConnection:
    url = f"nats://{login}{host}:{port}"
    return await BusConnection.connect(url, name="t", inbox_prefix="_INBOX_t", connect_timeout_s=20)


async def _fails(process: Process) -> tuple[int, str]:
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode is not None
    return process.returncode, errors.decode()


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()
