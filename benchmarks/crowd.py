"""People who come to a service that cannot take all of them: they knock, come again when they are told to, and speak.

Light enough for a thousand of them in one process. What is measured is measured here, from outside.
"""

import asyncio
import base64
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from benchmarks.load import CHUNK_SAMPLES, PING, PONG, TEXT, cut_frame, frame
from bus.contract.client_protocol import PATH

CHUNK_S = 0.1
_SAMPLE_RATE_HZ = 16_000


@dataclass(slots=True)
class Seen:
    """What all of them saw. Seconds."""

    finals_s: list[float] = field(default_factory=list)
    """From when the end of speech was sent until its final."""
    told_s: list[float] = field(default_factory=list)
    """From the request until it was refused, the connection being open."""
    connected_s: list[float] = field(default_factory=list)
    """Until that connection was open."""
    lag_s: list[float] = field(default_factory=list)
    """This process's own lateness."""
    admitted: int = 0
    most_inside: int = 0
    inside: int = 0
    broken: list[str] = field(default_factory=list)
    """Why sessions ended that should not have, and requests were answered by neither yes nor no."""


class Visit(asyncio.Protocol):
    """One request, and the session that may come of it."""

    def __init__(self, hotwords: Sequence[str], seen: Seen) -> None:
        loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[int | None] = loop.create_future()
        """When to come again; None: come in."""
        self.started: asyncio.Future[bool] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._hotwords = hotwords
        self._seen = seen
        self._sent_at: list[float] = []
        self._received = b""
        self._asked_at = 0.0
        self._is_over = False
        self._transport: asyncio.Transport

    def send(self, chunk: bytes) -> None:
        """The next 100 ms."""
        self._sent_at.append(time.monotonic())
        self._transport.write(chunk)

    def finish(self) -> None:
        """No more audio: `ended` follows."""
        self._transport.write(frame(TEXT, b'{"type":"audio.end"}'))

    def close(self) -> None:
        """Cut the connection."""
        self._is_over = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._asked_at = time.monotonic()
        self._transport.write(
            f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take the answer, then whole frames."""
        self._received += data
        if not self.answered.done():
            head, found, rest = self._received.partition(b"\r\n\r\n")
            if not found:
                return
            self._received = rest
            self._on_answer(head.decode(errors="replace"))
        while not self._is_over and (cut := cut_frame(self._received)) is not None:
            opcode, payload, self._received = cut
            if opcode == PING:
                self._transport.write(frame(PONG, payload))
            elif opcode == TEXT:
                self._on_event(json.loads(payload))

    def connection_lost(self, _error: Exception | None) -> None:
        """Note it, unless it was to be."""
        if not self._is_over:
            self._break("the connection was closed")
        for waiting in (self.started, self.ended):
            if not waiting.done():
                waiting.cancel()

    def _on_answer(self, head: str) -> None:
        status, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if " 101 " in status:
            self._transport.write(frame(TEXT, self._start()))
            self.answered.set_result(None)
        elif " 503 " in status and "retry-after" in headers:
            self._seen.told_s.append(time.monotonic() - self._asked_at)
            self.answered.set_result(int(headers["retry-after"]))
            self.close()
        else:
            self._break(status)

    def _start(self) -> bytes:
        return json.dumps({"type": "session.start", "language": "en", "hotwords": list(self._hotwords)}).encode()

    def _on_event(self, event: dict[str, object]) -> None:
        match event:
            case {"type": "session.started"}:
                self.started.set_result(True)
            case {"type": "transcript.final", "end_s": float(end_s)}:
                chunk = min(len(self._sent_at) - 1, round(end_s * _SAMPLE_RATE_HZ) // CHUNK_SAMPLES)
                self._seen.finals_s.append(time.monotonic() - self._sent_at[chunk])
            case {"type": "session.ended"}:
                self._is_over = True
                self.ended.set_result(None)
            case {"type": "error" | "transcript.failed", "code": str(code)}:
                self._break(code)

    def _break(self, why: str) -> None:
        self._seen.broken.append(why)
        self._is_over = True
        if not self.answered.done():
            self.answered.set_exception(ConnectionError(why))
        self._transport.abort()


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """`size` people who come within `arrive_s` and stay `stay_s` each, until `over`."""

    port: int
    frames: Sequence[bytes]
    """Whole chunks of speech."""
    hotwords: Sequence[str]
    size: int
    arrive_s: float
    stay_s: float
    over: asyncio.Event
    seen: Seen

    async def run(self) -> None:
        """All of them, until `over` is set and everybody has left."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self.size):
                tasks.create_task(self._person(random.Random(number)))

    async def _person(self, chance: random.Random) -> None:
        await self._pass(chance.uniform(0, self.arrive_s))
        while not self.over.is_set():
            began = time.monotonic()
            try:
                _, visit = await asyncio.get_running_loop().create_connection(
                    lambda: Visit(self.hotwords, self.seen), "127.0.0.1", self.port
                )
                self.seen.connected_s.append(time.monotonic() - began)
                again_s = await visit.answered
            except OSError as error:
                self.seen.broken.append(type(error).__name__)
                again_s = 1
            else:
                if again_s is None:
                    await self._speak(visit, chance)
                    again_s = 1
            await self._pass(again_s * chance.uniform(1.0, 1.2))

    async def _speak(self, visit: Visit, chance: random.Random) -> None:
        seen = self.seen
        seen.admitted += 1
        seen.inside += 1
        seen.most_inside = max(seen.most_inside, seen.inside)
        try:
            await visit.started
            place = chance.randrange(len(self.frames))
            began = time.monotonic()
            chunks = round(self.stay_s * chance.uniform(0.5, 1.5) / CHUNK_S)
            for number in range(chunks):
                due = began + number * CHUNK_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                seen.lag_s.append(time.monotonic() - due)
                visit.send(self.frames[(place + number) % len(self.frames)])
                if self.over.is_set():
                    break
            visit.finish()
            await visit.ended
        except asyncio.CancelledError:
            if not visit.ended.cancelled() and not visit.started.cancelled():
                raise  # it was not the session that ended
        finally:
            seen.inside -= 1
            visit.close()

    async def _pass(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            pass
