"""Servers of somebody else as processes."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.peers.processes import HOST, Command, DidNotStart, serving

LISTEN = """
import socket, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("child", "w").write(str(child.pid))
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listening.accept()
"""


async def test_a_server_is_reached_at_its_port_and_gone_afterwards_with_all_that_it_started(tmp_path: Path) -> None:
    command = Command([sys.executable, "-c", LISTEN, "{port}"], {})
    with pytest.raises(RuntimeError, match="interrupted"):
        async with serving(command, tmp_path) as port:
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            child = psutil.Process(int((tmp_path / "child").read_text()))
            raise RuntimeError("interrupted")
    gone, alive = await asyncio.to_thread(psutil.wait_procs, [child], 10)
    assert (gone, alive) == ([child], [])


async def test_a_server_that_ends_says_what_it_last_wrote(tmp_path: Path) -> None:
    command = Command([sys.executable, "-c", "raise SystemExit('no weights here')"], {})
    with pytest.raises(DidNotStart, match=r"exit status 1(.|\n)*no weights here"):
        async with serving(command, tmp_path):
            pass
