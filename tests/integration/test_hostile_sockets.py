"""Clients that mean harm before or below the session: what they can make the process hold, and that others go on.

The bounds are those of docs/operating.md.
"""

import asyncio
import json
import os
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from stream_gateway import server
from stream_gateway import sockets as guarded
from stream_gateway.dialects.base import Dialect
from stream_gateway.policy.held_input import HeldInput
from stream_gateway.sockets import GuardedConnection, SocketLimits
from tests.integration.front_door import Lobby, open_door

WITHIN_S = 30.0
UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
MASK = bytes(4)
TINY = b"\x82\x81" + MASK + b"x"
PING = b"\x89\xfd" + MASK + bytes(125)


class Held(Lobby):
    """A lobby that reads nothing of what it is sent before it is `let`, and lets a test wait for who has come."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.came = asyncio.Event()

    async def serve(self, socket: ServerConnection, tenant: str, dialect: Dialect) -> None:
        self.sockets.append(socket)
        self.came.set()
        await self.let.wait()
        with suppress(ConnectionClosed):
            async for frame in socket:
                await socket.send(str(len(frame)))


async def raw(port: int, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    return reader, writer


@asynccontextmanager
async def upgraded(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A socket to write frames on by hand."""
    reader, writer = await raw(port, UPGRADE)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def is_served(port: int) -> None:
    """A client that means no harm is."""
    async with asyncio.timeout(WITHIN_S), connect(f"ws://127.0.0.1:{port}/v1/stream", compression=None) as socket:
        await socket.send(b"12345")
        assert await socket.recv() in ("5", json.dumps({"tenant": "default"}))


async def hung_up(reader: asyncio.StreamReader) -> None:
    """Return once the service has ended the connection."""
    async with asyncio.timeout(WITHIN_S):
        with suppress(ConnectionError):
            while await reader.read(2**16):
                pass


@pytest.mark.parametrize("said", [b"", b"GET /v1/str", UPGRADE[:-2], b"POST / HTTP/1.1\r\nX: "])
async def test_of_connections_that_say_nothing_or_half_a_request_only_so_many_are_kept(said: bytes) -> None:
    async with open_door(Lobby(), keys=False, sockets=SocketLimits(max_strangers=16)) as port:
        strangers = [await raw(port, said) for _ in range(40)]
        await asyncio.gather(*(hung_up(reader) for reader, _ in strangers[:23]))
        await is_served(port)
        assert not any(reader.at_eof() for reader, _ in strangers[-10:])
        for _, writer in strangers:
            writer.transport.abort()


async def test_a_request_that_comes_byte_by_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_OPEN_TIMEOUT_S", 0.3)
    async with open_door(Lobby(), keys=False) as port:
        reader, writer = await raw(port)
        ended = asyncio.create_task(hung_up(reader))
        for byte in UPGRADE * 100:
            if ended.done():
                break
            writer.write(bytes([byte]))
            await asyncio.wait([ended], timeout=0.01)
        assert ended.done()
        writer.close()


async def test_of_a_flood_of_tiny_frames_few_are_held_and_others_are_answered_meanwhile() -> None:
    lobby = Held()
    async with open_door(lobby, keys=False) as port, upgraded(port) as (_, writer):
        await lobby.came.wait()
        flooded = lobby.sockets[0]
        writer.write(TINY * 300_000)
        async with connect(f"ws://127.0.0.1:{port}/v1/stream", compression=None) as other:
            for _ in range(20):
                await (await other.ping())
                assert len(flooded.recv_messages.frames) < 500
        assert flooded.recv_messages.paused
        lobby.let.set()
        await is_served(port)


async def test_tiny_frames_that_are_read_are_all_read_and_others_have_their_turn() -> None:
    lobby = Lobby()
    async with open_door(lobby, keys=False) as port, upgraded(port) as (reader, writer):
        flood = asyncio.create_task(reader.readexactly(5_000 * 3))  # what is said to each: "1"
        await asyncio.sleep(0)
        writer.write(TINY * 5_000)
        await is_served(port)
        async with asyncio.timeout(WITHIN_S):
            answers = await flood
    assert answers.count(b"\x81\x011") >= 4_900


async def test_who_pings_and_never_reads_the_answers_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "_MAX_UNREAD_BYTES", 256 * 1024)
    async with open_door(Lobby(), keys=False) as port:
        loop = asyncio.get_running_loop()
        with sockets.socket() as deaf:
            deaf.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            await loop.sock_connect(deaf, ("127.0.0.1", port))
            await loop.sock_sendall(deaf, UPGRADE)
            async with asyncio.timeout(WITHIN_S):
                with pytest.raises(ConnectionError):
                    while True:
                        await loop.sock_sendall(deaf, PING * 1000)
        await is_served(port)


async def test_sockets_together_hold_no_more_than_they_may_and_who_holds_most_is_cut() -> None:
    limit = 1024 * 1024
    lobby = Held()
    async with open_door(lobby, keys=False, sockets=SocketLimits(max_held_bytes=limit)) as port:
        url = f"ws://127.0.0.1:{port}/v1/realtime"
        big = 500 * 1024
        head = b"\x81\xff" + (big + 1).to_bytes(8, "big") + MASK  # one byte of it never comes
        small = await connect(f"ws://127.0.0.1:{port}/v1/stream", compression=None)
        hogs = []
        for _ in range(4):
            reader, writer = await raw(port, UPGRADE.replace(b"/v1/stream", b"/v1/realtime"))
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head + b"x" * big)
            hogs.append((reader, writer))
        done, _ = await asyncio.wait(
            [asyncio.create_task(hung_up(reader)) for reader, _ in hogs],
            return_when=asyncio.FIRST_COMPLETED,
            timeout=WITHIN_S,
        )
        assert done, url
        budget = guard_of(lobby).held
        assert budget.total_bytes <= 2 * limit
        lobby.let.set()
        await small.send(b"12345")
        assert await small.recv() == "5"
        await small.close()
        for _, writer in hogs:
            writer.transport.abort()


def guard_of(lobby: Lobby) -> guarded.Sockets:
    connection = lobby.sockets[0]
    assert isinstance(connection, GuardedConnection)
    return connection._sockets


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x82\xff" + (2**62).to_bytes(8, "big") + MASK, 1009),
        (b"\x82\xfe" + (65_535).to_bytes(2, "big") + MASK + b"x" * 70_000 + b"\x80\xff" + bytes(8) + MASK, 1002),
        (b"\xc2\x81" + MASK + b"x", 1002),
        (b"\x82\x01x", 1002),
        (b"\x89\xfe" + (126).to_bytes(2, "big") + MASK + bytes(126), 1002),
    ],
    ids=["says it is huge", "no continuation", "compressed", "not masked", "long ping"],
)
async def test_frames_that_no_client_sends_end_their_socket_alone(frame: bytes, code: int) -> None:
    async with open_door(Lobby(), keys=False) as port, upgraded(port) as (reader, writer):
        writer.write(frame)
        async with asyncio.timeout(WITHIN_S):
            said = await reader.read()
        assert code.to_bytes(2, "big") in said
        await is_served(port)


async def test_a_crowd_that_opens_at_once_is_answered_to_the_last() -> None:
    crowd = 1000 if "HARKEN_TEST_HOSTILE" in os.environ else 200
    async with open_door(Lobby(sessions=1), keys=False) as port:

        async def ask() -> bytes:
            reader, writer = await raw(port, UPGRADE)
            try:
                return await reader.read()
            finally:
                writer.close()

        async with asyncio.timeout(WITHIN_S):
            answers = await asyncio.gather(*(ask() for _ in range(crowd)))
    assert all(said.startswith(b"HTTP/1.1 503 ") and b"Retry-After: " in said for said in answers)


class Listener(Held):
    """Counts what it reads, from when it is `let`, and says when that has an end."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.ended = asyncio.Event()

    async def serve(self, socket: ServerConnection, tenant: str, dialect: Dialect) -> None:
        self.sockets.append(socket)
        self.came.set()
        await self.let.wait()
        with suppress(ConnectionClosed):
            async for _ in socket:
                self.read += 1
        self.ended.set()


async def test_what_a_client_sent_before_it_went_is_read_to_the_end() -> None:
    lobby = Listener()
    async with open_door(lobby, keys=False) as port:
        async with upgraded(port) as (_, writer):
            writer.write(TINY * 3_000)
            writer.write_eof()
            await writer.drain()
            lobby.let.set()
            async with asyncio.timeout(WITHIN_S):
                await lobby.ended.wait()
    assert lobby.read == 3_000


async def test_what_a_broken_connection_has_left_is_read_too_and_others_have_their_turn_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guarded, "_TURN_S", 0.0)
    lobby = Listener()
    async with open_door(lobby, keys=False) as port, upgraded(port) as (_, writer):
        writer.write(TINY * 3_000)
        async with asyncio.timeout(WITHIN_S):
            await lobby.came.wait()
            connection, watched = lobby.sockets[0], guard_of(lobby)
            assert isinstance(connection, GuardedConnection)
            while not await has_more(connection):
                pass
            connection.transport.abort()
            rounds = 0
            while await holds_something(watched):
                rounds += 1
            lobby.let.set()
            await lobby.ended.wait()
    assert rounds > 3
    assert lobby.read == 3_000


async def test_sockets_that_are_gone_hold_nothing() -> None:
    lobby = Lobby()
    async with open_door(lobby, keys=False) as port:
        clients: list[ClientConnection] = []
        for _ in range(5):
            clients.append(await connect(f"ws://127.0.0.1:{port}/v1/stream", compression=None))
            await clients[-1].send(b"x" * 1000)
            await clients[-1].recv()
        watched = guard_of(lobby)
        for client in clients:
            await client.close()
        await is_served(port)
        async with asyncio.timeout(WITHIN_S):
            while await holds_something(watched):
                pass


async def has_more(connection: GuardedConnection) -> bool:
    await asyncio.sleep(0)
    return bool(connection._unparsed)


async def holds_something(watched: guarded.Sockets) -> bool:
    await asyncio.sleep(0)
    return bool(watched.held.total_bytes or len(watched.strangers))


async def test_frames_that_were_read_are_held_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    lobby = Lobby()
    booked: dict[object, list[int]] = {}
    hold = HeldInput[object].hold

    def watched(self: HeldInput[object], key: object, held_bytes: int) -> bool:
        booked.setdefault(key, []).append(held_bytes)
        return hold(self, key, held_bytes)

    monkeypatch.setattr(HeldInput, "hold", watched)
    async with open_door(lobby, keys=False) as port, upgraded(port) as (reader, writer):
        writer.write(TINY * 400)
        async with asyncio.timeout(WITHIN_S):
            await reader.readexactly(400 * 3)
        flooded = lobby.sockets[0]
        await is_served(port)
        assert max(booked[flooded]) > 100_000 > 10_000 > booked[flooded][-1]
