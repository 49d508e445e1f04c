"""The open port, with several listeners on its one socket.

uvloop accepts one connection of a listener in each round of its loop: with one listener, and rounds of some
milliseconds, a crowd would wait for seconds to be refused.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from typing import Self

from websockets.asyncio.server import Server

BACKLOG = 1024
"""Connections that the system keeps until they are accepted."""
_ACCEPTED_A_ROUND = 8


def duplicates(sockets: Sequence[socket.socket]) -> Iterator[socket.socket]:
    """The same sockets, for further servers to listen on."""
    for one in sockets:
        for _ in range(_ACCEPTED_A_ROUND - 1):
            yield socket.socket(fileno=os.dup(one.fileno()))


class Listeners:
    """Servers of one port. `close` them, or leave their context."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """One for each address."""
        return self._servers[0].sockets

    def close(self, *, close_connections: bool = True) -> None:
        """Accept no more; end what is open too, if that is wished."""
        for server in self._servers:
            server.close(close_connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        for server in self._servers:
            await server.wait_closed()
