"""Where a child says that it serves, as systemd would hear it (`bus.runtime.readiness`)."""

import asyncio
import socket
import tempfile
from pathlib import Path

from bus.runtime.readiness import READY

_MAX_DATAGRAM_BYTES = 4096


class ReadySocket:
    """One child's. `ready` is set while the process that runs now has said so. Loop thread only."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        # Of the shortest path there is: the kernel takes 107 characters.
        self._folder = tempfile.TemporaryDirectory(prefix="harken-")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(self.address)
        asyncio.get_running_loop().add_reader(self._socket, self._on_readable)

    @property
    def address(self) -> str:
        """What the child is to find in NOTIFY_SOCKET."""
        return str(Path(self._folder.name) / "ready")

    def expect(self) -> None:
        """Another process begins: what the one before said does not count for it."""
        self._on_readable()
        self.ready.clear()

    def close(self) -> None:
        """Hear no more. Idempotent."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._folder.cleanup()

    def _on_readable(self) -> None:
        while True:
            try:
                said = self._socket.recv(_MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            if READY in said.split(b"\n"):
                self.ready.set()
