"""A client that speaks the wire by hand, so that a test can speak it wrongly too, and what it reads over HTTP."""

import asyncio
import json
from pathlib import Path
from typing import Any

import soundfile
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

SAMPLE = Path(__file__).parents[2] / "samples" / "austen.flac"
START = {"type": "session.start", "language": "en"}
AUDIO_COMMIT = json.dumps({"type": "audio.commit"})
AUDIO_END = json.dumps({"type": "audio.end"})
_WITHIN_S = 30.0
_MIDDLE = 2 * 16_000 * 4


def speech(seconds: int = 8) -> bytes:
    """The beginning of the bundled recording. Its first utterance is heard from 0.7 to 7.2 s, its second from 8.8 s."""
    audio, _ = soundfile.read(SAMPLE, dtype="int16", frames=16_000 * seconds)
    return bytes(audio.tobytes())


async def dial(port: int, path: str = "/v1/stream") -> ClientConnection:
    return await connect(f"ws://127.0.0.1:{port}{path}", max_size=None, compression=None)


async def event(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next event of this type."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] == kind:
                return message


async def started(
    port: int, *, path: str = "/v1/stream", opened: list[dict[str, Any]] | None = None, **fields: Any
) -> ClientConnection:
    """A session that is open, and `opened` says how. A worker is known within one heartbeat: first tries may fail."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            socket = await dial(port, path)
            await socket.send(json.dumps({**START, **fields}))
            first = json.loads(await socket.recv())
            if first["type"] == "session.started":
                if opened is not None:
                    opened.append(first)
                return socket
            await socket.close()


async def said(port: int, audio: bytes, **fields: Any) -> ClientConnection:
    """A session to which all of its audio was sent."""
    socket = await started(port, **fields)
    await socket.send(audio)
    await socket.send(AUDIO_END)
    return socket


async def half_said(port: int, **fields: Any) -> ClientConnection:
    """A session in the middle of the first utterance of `speech()`, of which a partial was shown."""
    socket = await started(port, **fields)
    await socket.send(speech()[:_MIDDLE])
    assert (await event(socket, "transcript.partial"))["text"]
    return socket


async def say_the_rest(socket: ClientConnection) -> None:
    """The rest of `speech()`, and that there is no more."""
    await socket.send(speech()[_MIDDLE:])
    await socket.send(AUDIO_END)


async def undisturbed_text(port: int, audio: bytes) -> str:
    """What the first utterance of `audio` comes to when nothing goes wrong."""
    socket = await said(port, audio)
    text: str = (await event(socket, "transcript.final"))["text"]
    assert text
    assert await closed_with(socket) == 1000
    return text


async def closed_with(socket: ClientConnection) -> int | None:
    """The close code; events that come before it are passed over."""
    await events_until_closed(socket)
    return socket.close_code


async def events_until_closed(socket: ClientConnection) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    await keep_events(socket, events)
    return events


async def keep_events(socket: ClientConnection, events: list[dict[str, Any]]) -> None:
    """Append events as they come, until the socket closes."""
    async with asyncio.timeout(_WITHIN_S):
        try:
            while True:
                events.append(json.loads(await socket.recv()))
        except ConnectionClosed:
            pass


async def get(port: int, path: str, *headers: str) -> tuple[int, str, str]:
    """Status, head and body of one request on a connection of its own."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]
            writer.write("\r\n".join(lines).encode())
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        finally:
            writer.close()
            await writer.wait_closed()
    return int(head.split()[1]), head, body


async def became(port: int, status: int) -> str:
    """The body of /readyz once it answers `status`."""
    async with asyncio.timeout(5):
        while True:
            seen, _, body = await get(port, "/readyz")
            if seen == status:
                return body


async def figures(port: int) -> dict[str, float]:
    """What /metrics of a process shows: values by name with labels, as they are spelled there."""
    status, _, body = await get(port, "/metrics", "Connection: close")
    assert status == 200
    rows = [line.rpartition(" ") for line in body.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in rows}
