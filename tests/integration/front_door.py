"""The real listener on a real socket, in front of a gateway that only says who came in."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ssl import SSLContext
from typing import cast

from prometheus_client import CollectorRegistry
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from bus.contract.client_protocol import PATH, Limits
from stream_gateway.dialects.base import Dialect, Handshake
from stream_gateway.dialects.native import NativeDialect
from stream_gateway.dialects.refusals import DEEPGRAM_PATH, OPENAI_PATHS
from stream_gateway.gateway import Gateway
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.policy.admission import Admission, GatewayView, admit
from stream_gateway.server import FrameLimits, FrontDoor
from stream_gateway.sockets import SocketLimits

PATHS = (PATH, *OPENAI_PATHS, DEEPGRAM_PATH, "/", "/whisperlive")
TENANTS = {"k1": "acme", "k2": "globex"}
FRAMES = FrameLimits(binary_bytes=64 * 1024, base64_bytes=512 * 1024)


class Lobby:
    """Greets each socket with its tenant and answers each frame with its length. `sessions` are pretended."""

    def __init__(self, *, draining: bool = False, sessions: int = 0) -> None:
        self.limits = Limits(
            max_frame_bytes=FRAMES.binary_bytes, max_session_s=60.0, idle_timeout_s=60.0, max_buffered_audio_s=60.0
        )
        self.handshakes: list[Handshake] = []
        self.sockets: list[ServerConnection] = []
        self.asked: list[tuple[str, bool]] = []
        self._view = GatewayView(sessions=sessions, max_sessions=1, draining=draining)

    def admission(self, tenant: str, *, resuming: bool = False) -> Admission:
        self.asked.append((tenant, resuming))
        return admit(replace(self._view, resuming=resuming))

    def not_ready_because(self) -> list[str]:
        return []

    async def serve(self, socket: ServerConnection, tenant: str, dialect: Dialect) -> None:
        self.sockets.append(socket)
        await socket.send(json.dumps({"tenant": tenant}))
        with suppress(ConnectionClosed):
            async for frame in socket:
                await socket.send(str(len(frame)))

    def dialect(self, handshake: Handshake) -> Dialect:
        self.handshakes.append(handshake)
        return NativeDialect(handshake)


@asynccontextmanager
async def open_door(
    lobby: Lobby,
    *,
    tls: SSLContext | None = None,
    keys: bool = True,
    frames: FrameLimits = FRAMES,
    sockets: SocketLimits | None = None,
) -> AsyncIterator[int]:
    """The port."""
    door = FrontDoor(
        cast(Gateway, lobby),
        metrics=GatewayMetrics(CollectorRegistry()),
        tenants=TENANTS if keys else {},
        frames=frames,
        sockets=sockets or SocketLimits(),
        dialects=dict.fromkeys(PATHS, lobby.dialect),
    )
    async with await door.listen("127.0.0.1", 0, reuse_port=False, tls=tls) as server:
        yield server.sockets[0].getsockname()[1]


async def answer(port: int, request: bytes) -> bytes:
    """The head of what the door says to these bytes, and the body unless it is an upgrade; empty if it hangs up."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            return head if b" 101 " in head.partition(b"\r\n")[0] else head + await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        finally:
            writer.close()
