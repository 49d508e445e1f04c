"""Many clients in one process, each playing recordings in real time: light enough to load a gateway from one core.

The frames are built once and shared, with a mask of zeros (RFC 6455 allows any), so that sending one is a single write.
Only what the measurement needs is read of what comes back.
"""

import asyncio
import base64
import json
import os
import random
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import cast

from bus.contract.client_protocol import PATH

CHUNK_SAMPLES = 1_600
"""100 ms."""
_CHUNK_S = 0.1
_FRAME_SAMPLES = 512
_SAMPLE_RATE_HZ = 16_000
_START_SAMPLES = 2 * _FRAME_SAMPLES
"""Speech that the gateway wants to hear before it says so, in whole frames."""
_PING_EVERY_CHUNKS = 20
TEXT, BINARY, PING, PONG = 0x81, 0x82, 0x89, 0x8A
_NO_MASK = bytes(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every client does."""

    vad: bool = True
    partials: bool = False
    endpoint_s: float = 0.5
    commit_every_s: float = 5.0
    """Without voice activity detection: how often a client ends its segment."""


@dataclass(slots=True)
class Seen:
    """What all clients saw since the measurement began. Seconds."""

    lag_s: list[float] = field(default_factory=list)
    """From when a chunk was due until it was written: this process's own lateness."""
    pong_s: list[float] = field(default_factory=list)
    """From a ping, sent behind a chunk, to its pong."""
    started_s: list[float] = field(default_factory=list)
    """From the chunk that decides that someone speaks, sent, to speech.started."""
    ended_s: list[float] = field(default_factory=list)
    """From the chunk, or the audio.commit, that ends an utterance, sent, to speech.ended."""
    finals: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)


def frames_of(pcm: bytes) -> list[bytes]:
    """Whole chunks of audio as WebSocket frames."""
    step = 2 * CHUNK_SAMPLES
    return [frame(BINARY, pcm[at : at + step]) for at in range(0, len(pcm) - step + 1, step)]


class Client(asyncio.Protocol):
    """One session. `open` first; `send_chunk` every 100 ms."""

    def __init__(self, frames: Sequence[bytes], first: int, plan: Plan, seen: Seen) -> None:
        """`first` is the frame that it begins with, and decides when it commits: not all do so at once."""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.committed_samples = 0
        self._frames = frames
        self._next = first
        self._plan = plan
        self._seen = seen
        self._sent_at: list[float] = []
        self._pinged_at = 0.0
        self._committed_at: list[float] = []
        self._ended: tuple[float, float] | None = None
        """End of the last utterance in seconds of audio, and when that was told; None once it counts."""
        self._received = b""
        self._is_upgraded = False
        self._is_closed = False
        self._transport: asyncio.Transport

    @property
    def held_samples(self) -> int:
        """Samples sent and not committed."""
        return len(self._sent_at) * CHUNK_SAMPLES - self.committed_samples

    def send_chunk(self, now: float) -> None:
        """Send the next 100 ms, and now and then a ping or the end of a segment behind it."""
        if self._transport.is_closing():
            return  # its reason is among the errors
        number = len(self._sent_at)
        self._sent_at.append(now)
        self._transport.write(self._frames[self._next % len(self._frames)])
        self._next += 1
        if number % _PING_EVERY_CHUNKS == 0:
            self._pinged_at = time.monotonic()
            self._transport.write(frame(PING, b""))
        if not self._plan.vad and number and self._next % round(self._plan.commit_every_s / _CHUNK_S) == 0:
            self._committed_at.append(time.monotonic())
            self._transport.write(frame(TEXT, b'{"type":"audio.commit"}'))

    def close(self) -> None:
        """Cut the connection."""
        self._is_closed = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take whole frames; the start follows the upgrade."""
        received = self._received + data if self._received else data
        if not self._is_upgraded:
            head, found, received = received.partition(b"\r\n\r\n")
            if not found:
                self._received = head
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self._fail(head.partition(b"\r\n")[0].decode(errors="replace"))
                return
            self._is_upgraded = True
            self._transport.write(frame(TEXT, self._start()))
        now = time.monotonic()
        while (cut := cut_frame(received)) is not None:
            opcode, payload, received = cut
            self._on_frame(opcode, payload, now)
        self._received = received

    def connection_lost(self, _error: Exception | None) -> None:
        """Note it, unless it was us."""
        if not self._is_closed:
            self._fail("the connection was closed")

    def _start(self) -> bytes:
        vad = {"endpoint_s": self._plan.endpoint_s} if self._plan.vad else {"enabled": False}
        return json.dumps(
            {"type": "session.start", "language": "en", "partials": self._plan.partials, "vad": vad}
        ).encode()

    def _on_frame(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode == PONG:
            self._seen.pong_s.append(now - self._pinged_at)
        elif opcode == PING:
            self._transport.write(frame(PONG, payload))
        elif opcode == TEXT:
            self._on_event(json.loads(payload), now)

    def _on_event(self, event: dict[str, object], now: float) -> None:
        match event:
            case {"type": "session.started"}:
                self.opened.set_result(None)
            case {"type": "speech.started", "start_s": float(start_s)}:
                if self._plan.vad:
                    self._on_started(start_s, now)
            case {"type": "speech.ended", "end_s": float(end_s)}:
                if self._plan.vad:
                    self._ended = (end_s, now)
                elif self._committed_at:
                    self._seen.ended_s.append(now - self._committed_at.pop(0))
            case {"type": "transcript.final"}:
                self._seen.finals += 1
            case {"type": "transcript.failed"}:
                self._seen.failed += 1
            case {"type": "audio.committed", "offset": int(offset)}:
                self.committed_samples = offset
            case {"type": "error", "code": str(code)}:
                self._fail(code)

    def _on_started(self, start_s: float, now: float) -> None:
        """Time this decision and the one before, that the last utterance was over.

        Unless it was cut in long speech: then the next one starts where it ended, long ago, and no silence decided it.
        """
        ended, self._ended = self._ended, None
        if ended is not None and start_s == ended[0]:
            return
        self._note(self._seen.started_s, start_s, _START_SAMPLES, now)
        if ended is not None:
            endpoint_frames = -(-round(self._plan.endpoint_s * _SAMPLE_RATE_HZ) // _FRAME_SAMPLES)
            self._note(self._seen.ended_s, ended[0], endpoint_frames * _FRAME_SAMPLES, ended[1])

    def _note(self, latencies: list[float], event_s: float, later_samples: int, now: float) -> None:
        """Time since the chunk was sent that holds the last sample on which the event depends."""
        chunk = (round(event_s * _SAMPLE_RATE_HZ) + later_samples - 1) // CHUNK_SAMPLES
        if chunk < len(self._sent_at):  # else its length ended the utterance, and not the silence that had begun
            latencies.append(now - self._sent_at[chunk])

    def _fail(self, reason: str) -> None:
        self._seen.errors.append(reason)
        if not self.opened.done():
            self.opened.set_exception(RuntimeError(f"no session: {reason}"))


class Load:
    """Clients that all play at once, each at its own place of the recordings and at its own moment."""

    def __init__(self, port: int, frames: Sequence[bytes], plan: Plan) -> None:
        self.seen = Seen()
        self._port = port
        self._frames = frames
        self._plan = plan
        self._clients: list[Client] = []
        self._random = random.Random(1)

    async def open(self, sessions: int) -> None:
        """Open this many sessions more, one after the other. RuntimeError if one is refused."""
        loop = asyncio.get_running_loop()
        for _ in range(sessions):
            first = self._random.randrange(len(self._frames)) if self._frames else 0
            _, client = await loop.create_connection(
                lambda first=first: Client(self._frames, first, self._plan, self.seen),  # type: ignore[misc]
                "127.0.0.1",
                self._port,
            )
            await client.opened
            self._clients.append(client)

    async def play(self) -> None:
        """Send every client's audio in real time until cancelled. The schedule is absolute: delays do not add up."""
        phases = sorted((self._random.random() * _CHUNK_S, index) for index in range(len(self._clients)))
        began = time.monotonic()
        for turn in count():
            for phase_s, index in phases:
                due = began + turn * _CHUNK_S + phase_s
                now = time.monotonic()
                if due > now:
                    await asyncio.sleep(due - now)
                    now = time.monotonic()
                self._clients[index].send_chunk(now)
                self.seen.lag_s.append(now - due)

    def measure_from_now(self) -> None:
        """Forget what was seen so far, but for errors."""
        seen = self.seen
        for latencies in (seen.lag_s, seen.pong_s, seen.started_s, seen.ended_s):
            latencies.clear()
        seen.finals = seen.failed = 0

    @property
    def held_s(self) -> float:
        """Seconds of audio that the mean session has sent and not been told to forget."""
        held = sum(client.held_samples for client in self._clients)
        return held / len(self._clients) / _SAMPLE_RATE_HZ

    def close(self) -> None:
        """Cut all connections."""
        for client in self._clients:
            client.close()


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole message as a client sends it, of up to 64 KiB."""
    if len(payload) < 126:
        return struct.pack("!BB", opcode, 0x80 | len(payload)) + _NO_MASK + payload
    return struct.pack("!BBH", opcode, 0x80 | 126, len(payload)) + _NO_MASK + payload


def cut_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """First byte and payload of the first frame of a server, and what follows it; None if it is not complete."""
    if len(data) < 2:
        return None
    start, length = 2, data[1]
    if length == 126:
        start, length = 4, int.from_bytes(data[2:4])
    elif length == 127:
        start, length = 10, int.from_bytes(data[2:10])
    if len(data) < start or len(data) < start + length:
        return None
    return data[0], data[start : start + length], data[start + length :]
