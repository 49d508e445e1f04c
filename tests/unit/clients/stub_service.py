"""A small service on a real socket that speaks protocol v1: what it hears comes back as scripted finals."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from types import TracebackType
from typing import Self

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from bus.contract.client_protocol import PATH, AudioEnd, ClientMessage, ServerEvent, SessionStart, encode_message
from tests.unit.clients.events import committed, ended, final, partial, started

BYTES_PER_FINAL = 32_000
"""One second of 16 kHz linear16 mono."""
NOBODY = "ws://127.0.0.1:1"
"""Where no service is. A port that one has left may be given to the next one, of this test or of another."""

_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)

Behaviour = Callable[["StubSession"], Awaitable[None]]


class StubSession:
    """The service's side of one session, for behaviours to drive."""

    def __init__(self, socket: ServerConnection, service: "StubService") -> None:
        self.socket = socket
        self.service = service
        self._seq = 0

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    async def send(self, event: ServerEvent) -> None:
        await self.socket.send(encode_message(event))

    async def receive(self) -> ClientMessage | bytes:
        frame = await self.socket.recv()
        if isinstance(frame, str):
            return _decoder.decode(frame)
        self.service.audio += frame
        return frame

    async def open(self) -> SessionStart:
        start = await self.receive()
        assert isinstance(start, SessionStart)
        self.service.starts.append(start)
        chat_model = None if start.chat is None else start.chat.model or "smollm2"
        await self.send(started(self.next_seq(), max_frame_bytes=self.service.max_frame_bytes, chat_model=chat_model))
        return start


async def transcribe_each_second(session: StubSession) -> None:
    """Give a partial and a final for each second of audio, and what is left over at the end."""
    await session.open()
    received = segment = 0
    while True:
        message = await session.receive()
        if isinstance(message, bytes):
            received += len(message)
        while received >= (segment + 1) * BYTES_PER_FINAL:
            segment += 1
            await _speak(session, segment)
        if isinstance(message, AudioEnd):
            break
    await session.send(ended(session.next_seq(), audio_s=received / BYTES_PER_FINAL, segments=segment))


async def _speak(session: StubSession, segment: int) -> None:
    begin_s = float(segment - 1)
    await session.send(
        partial(session.next_seq(), segment=segment, start_s=begin_s, stable="this is", text="this is segment")
    )
    await session.send(
        final(
            session.next_seq(),
            segment=segment,
            text=f"This is segment {segment}.",
            start_s=begin_s,
            end_s=begin_s + 1,
        )
    )
    await session.send(committed(session.next_seq(), segment * 16_000))


class StubService:
    """Async context manager: serves on a free loopback port until left."""

    def __init__(
        self,
        behaviour: Behaviour = transcribe_each_second,
        *,
        max_frame_bytes: int = 65_536,
        ping_interval_s: float | None = None,
    ) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._ping_interval_s = ping_interval_s
        self.starts: list[SessionStart] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        """Of all upgrades asked for, with their queries."""
        self.audio = bytearray()
        self.refusal: Response | None = None
        self._behaviour = behaviour
        self._server: Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        # Without a bound on what it reads ahead, the stub sees the client's close frame however much comes first.
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._answer,
            compression=None,
            max_queue=None,
            ping_interval=self._ping_interval_s,
            ping_timeout=None,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.keys.append(", ".join(request.headers.get_all("Authorization")) or None)
        self.paths.append(request.path)
        if request.path.partition("?")[0] != PATH:
            return refusal(HTTPStatus.NOT_FOUND, b"nothing here")
        return self.refusal

    async def _serve(self, socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await self._behaviour(StubSession(socket, self))
        await socket.close()


def refusal(status: HTTPStatus, body: bytes, **headers: str) -> Response:
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    fields["Content-Length"] = str(len(body))
    return Response(status.value, status.phrase, fields, body)


@asynccontextmanager
async def silent_port() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """An address that takes connections and answers nothing; the event is set once a client has left again."""
    left = asyncio.Event()

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    async with await asyncio.start_server(ignore, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", left
