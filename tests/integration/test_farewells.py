"""Clients of WhisperLive at a gateway that has no room: they are told so in their own words."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from stream_gateway import farewells
from stream_gateway.dialects.whisper_live import PATHS
from tests.integration.front_door import Lobby, open_door

PATIENCE_S = 20.0
HELLO = json.dumps({"uid": "u1", "language": None, "task": "transcribe", "model": "small", "use_vad": True})


async def dial(port: int, path: str = "/") -> ClientConnection:
    return await connect(f"ws://127.0.0.1:{port}{path}", compression=None)


async def told(socket: ClientConnection) -> list[dict[str, Any]]:
    """All that comes until the socket closes."""
    messages: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        try:
            while True:
                messages.append(json.loads(await socket.recv()))
        except ConnectionClosed:
            return messages


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("lobby", "minutes"), [(Lobby(sessions=1), 0.1), (Lobby(draining=True), 0.1)])
async def test_a_client_is_told_to_wait_and_for_how_long(path: str, lobby: Lobby, minutes: float) -> None:
    async with open_door(lobby, keys=False) as port:
        socket = await dial(port, path)
        await socket.send(HELLO)
        assert await told(socket) == [{"uid": "u1", "status": "WAIT", "message": minutes}]
        assert (socket.close_code, socket.close_reason) == (1013, "overloaded")
    assert lobby.sockets == [], "it is no session"


@pytest.mark.parametrize("hello", ["what?", b"\0\0\0\0"])
async def test_a_client_that_does_not_say_who_it_is_is_shown_out(hello: str | bytes) -> None:
    async with open_door(Lobby(sessions=1), keys=False) as port:
        socket = await dial(port)
        await socket.send(hello)
        assert await told(socket) == []
        assert socket.close_code == 1013


async def test_a_client_that_says_nothing_is_shown_out_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewells, "_HELLO_WITHIN_S", 0.01)
    async with open_door(Lobby(sessions=1), keys=False) as port:
        socket = await dial(port)
        assert await told(socket) == []
        assert socket.close_code == 1013


async def test_a_key_is_needed_for_that_too() -> None:
    async with open_door(Lobby(sessions=1)) as port:
        with pytest.raises(InvalidStatus) as refused:
            await dial(port)
    assert refused.value.response.status_code == 401


async def test_of_a_crowd_most_are_refused_before_the_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewells, "_MOST", 1)
    async with open_door(Lobby(sessions=1), keys=False) as port:
        first = await dial(port)
        with pytest.raises(InvalidStatus) as refused:
            await dial(port)
        assert refused.value.response.status_code == 503
        await first.send(HELLO)
        assert len(await told(first)) == 1
        another = await dial(port)
        await another.send(HELLO)
        assert len(await told(another)) == 1
