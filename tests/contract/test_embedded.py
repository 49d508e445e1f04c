import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from bus.transport.server_binary import ServerUnavailable, StoreInUse
from tests.process_output import read_line

_PARENT = """
import asyncio, sys
from pathlib import Path
from bus.transport.embedded import EmbeddedNats

async def main():
    async with EmbeddedNats(store_dir=Path(sys.argv[1])) as server:
        sys.stdout.write(f"{server.pid}\\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_started_server_is_healthy_and_on_loopback(nats_server: EmbeddedNats) -> None:
    listening = [c.laddr.ip for c in psutil.Process(nats_server.pid).net_connections() if c.status == "LISTEN"]
    assert listening and set(listening) == {"127.0.0.1"}


async def test_a_restart_keeps_port_and_store(nats_server: EmbeddedNats) -> None:
    url, pid = nats_server.url, nats_server.pid
    await nats_server.kill()
    await nats_server.start()
    assert nats_server.url == url
    assert nats_server.pid != pid


async def test_a_second_server_on_a_store_is_refused_by_name(nats_server: EmbeddedNats, tmp_path: Path) -> None:
    with pytest.raises(StoreInUse, match=str(tmp_path / "nats")):
        await EmbeddedNats(store_dir=tmp_path / "nats").start()


async def test_a_store_is_free_again_after_stop(tmp_path: Path) -> None:
    for _ in range(2):
        async with EmbeddedNats(store_dir=tmp_path):
            pass


async def test_stopping_twice_is_fine_and_starting_twice_is_not(nats_server: EmbeddedNats) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        await nats_server.start()
    await nats_server.stop()
    await nats_server.stop()
    await nats_server.kill()
    assert nats_server.process is None
    with pytest.raises(RuntimeError, match="not running"):
        _ = nats_server.pid


async def test_stopping_ends_a_server_that_is_connected_to(tmp_path: Path) -> None:
    server = EmbeddedNats(store_dir=tmp_path)
    await server.start()
    connection = await BusConnection.connect(server.url, name="t", inbox_prefix="_INBOX_t")
    pid = server.pid
    await server.stop()
    assert not psutil.pid_exists(pid)
    await connection.aclose()


async def test_a_server_that_cannot_listen_says_where_its_output_is(nats_server: EmbeddedNats, tmp_path: Path) -> None:
    taken = int(nats_server.url.rpartition(":")[2])
    with pytest.raises(ServerUnavailable, match="nats-server.log"):
        await EmbeddedNats(store_dir=tmp_path / "other", port=taken).start()


@pytest.mark.skipif(sys.platform != "linux", reason="the signal at a parent's death is Linux's")
async def test_the_server_dies_with_its_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PARENT, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    server = psutil.Process(int(await read_line(parent)))
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    await asyncio.to_thread(psutil.wait_procs, [server], timeout=5)
    assert not server.is_running()
    async with EmbeddedNats(store_dir=tmp_path):
        pass  # the store is free


async def test_passwords_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    async with EmbeddedNats(store_dir=tmp_path, credentials={"admin": "secret"}):
        assert (tmp_path / "nats-server.conf").stat().st_mode & 0o077 == 0
