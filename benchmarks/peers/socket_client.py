"""One client of a peer: plays audio through its WebSocket in real time and notes what is shown when."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from benchmarks.peers.messages import Ended, Read, Ready, Refused, Text, give_up_at
from benchmarks.peers.observed import Observed
from benchmarks.playback import paced
from benchmarks.recordings import BYTES_PER_S

PATIENCE_S = 60.0
"""How long after its audio has ended a session may still bring text."""
_READY_TIMEOUT_S = 90.0


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a peer wants to hear and what it says."""

    url: str
    opening: str | None
    """The first message, if one is expected. Audio follows as 16-bit little-endian mono at 16 kHz."""
    closing: bytes
    """Says that there is no more audio."""
    read: Read
    quiet_s: float | None
    """For a server that drops what it has not shown when it hears `closing`: how long it must have shown nothing new
    before that is said. None: it is said at the end of the audio, and the server says when it is done."""


class _Over(Exception):
    """The session cannot go on; the text says why."""


async def play_socket(dialect: Dialect, pcm: bytes) -> Observed:
    """Play `pcm` in real time. Failures end up in `error`, never raised; text that came before them stays."""
    observed = Observed()
    try:
        async with connect(dialect.url, max_size=None, compression=None, ping_timeout=None, close_timeout=2) as socket:
            await _play(socket, dialect, pcm, observed)
    except _Over as over:
        observed.error = str(over)
    except ConnectionClosed as closed:
        observed.error = f"closed by the server: {closed.rcvd.code if closed.rcvd else 'no reason'}"
    except (OSError, TimeoutError, InvalidHandshake) as error:
        observed.error = f"no connection: {type(error).__name__}"
    return observed


async def _play(socket: ClientConnection, dialect: Dialect, pcm: bytes, observed: Observed) -> None:
    if dialect.opening is not None:
        await socket.send(dialect.opening)
    await _until_ready(socket, dialect)
    audio_s, began = len(pcm) / BYTES_PER_S, time.monotonic()
    sending = asyncio.create_task(_send(socket, dialect, pcm, began), name="send audio")
    try:
        if await _watch(socket, dialect, observed, audio_s, began):
            return
    finally:
        sending.cancel()
        await asyncio.wait([sending])
    if dialect.quiet_s is None or (observed.changed_s or 0.0) + dialect.quiet_s > audio_s + PATIENCE_S:
        raise _Over(f"given up {PATIENCE_S:g} s after the audio had ended")
    await socket.send(dialect.closing)


async def _watch(socket: ClientConnection, dialect: Dialect, observed: Observed, audio_s: float, began: float) -> bool:
    """Note what is shown. True once the server says that it is done, False when it is no use to wait for more."""
    while True:
        until_s = give_up_at(audio_s, observed.changed_s, quiet_s=dialect.quiet_s, patience_s=PATIENCE_S)
        try:
            async with asyncio.timeout(max(0.0, began + until_s - time.monotonic())):
                message = await socket.recv()
        except TimeoutError:
            return False
        at = time.monotonic() - began
        match dialect.read(message):
            case Text(text):
                observed.show(at, text)
            case Refused(reason):
                raise _Over(reason)
            case Ended() if at < audio_s:
                raise _Over("ended before the audio did")
            case Ended():
                return True


async def _until_ready(socket: ClientConnection, dialect: Dialect) -> None:
    async with asyncio.timeout(_READY_TIMEOUT_S):
        async for message in socket:
            match dialect.read(message):
                case Ready():
                    return
                case Refused(reason):
                    raise _Over(f"refused: {reason}")
    raise _Over("refused without a word")


async def _send(socket: ClientConnection, dialect: Dialect, pcm: bytes, began: float) -> None:
    """A connection that closes meanwhile is noticed by the task that listens."""
    with suppress(ConnectionClosed):
        async for chunk in paced(pcm, began, 1.0):
            await socket.send(chunk)
        if dialect.quiet_s is None:
            await socket.send(dialect.closing)
