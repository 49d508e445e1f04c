"""Bytes to a decoding thread, audio back; both ways bounded."""

import asyncio
import threading
from collections import deque
from enum import Enum, auto

from bus.contract.errors import BadContainer, HarkenError
from stream_gateway.audio.tracks import Tracks, join

_MAX_READY_SAMPLES = 30 * 16_000
"""Decoded audio that waits to be taken; then the thread pauses."""
_MAX_HEADER_BYTES = 16 * 1024 * 1024
"""Tags, covers and indexes before the first audio. FFmpeg keeps them in memory."""


class Closed(Exception):
    """The decoder was closed; the thread has nothing left to do."""


class Settled(Enum):
    """What the thread came to after it was given bytes."""

    HUNGRY = auto()
    """It has decoded all that it can of what it was given."""
    FULL = auto()
    """It has more, but what is ready must be taken first."""
    DONE = auto()
    """It has returned."""


class Exchange:
    """One thread calls `read` and `put`; one task on the loop calls the rest."""

    def __init__(self, tracks: int, loop: asyncio.AbstractEventLoop) -> None:
        self._tracks = tracks
        self._loop = loop
        self._settled_event = asyncio.Event()
        # The lock guards all that follows. It is never held while decoding, so nobody waits long for it.
        self._changed = threading.Condition()
        self._input: deque[memoryview] = deque()
        self._is_complete = False
        self._is_closed = False
        self._ready: list[Tracks] = []
        self._ready_samples = 0
        self._header_bytes: int | None = 0  # read so far; None once there is audio
        self._settled: Settled | None = None
        self.error: HarkenError | None = None
        """Why the thread returned early; of use once it is DONE."""

    # From the thread

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; waits for the first. b"" once the input is complete, or there is no point in going on.

        Never raises: PyAV prints what a source raises while it closes a file.
        """
        with self._changed:
            while not self._input and not self._is_complete and not self._is_closed:
                self._settle(Settled.HUNGRY)
                self._changed.wait()
            if self._is_closed or not self._input:
                return b""
            first = self._input[0]
            if self._header_bytes is not None:
                self._header_bytes += min(size, len(first))
                if self._header_bytes > _MAX_HEADER_BYTES:
                    self.error = BadContainer(f"no audio within the first {_MAX_HEADER_BYTES >> 20} MiB of the file")
                    return b""
            if len(first) <= size:
                self._input.popleft()
            else:
                self._input[0] = first[size:]
            return bytes(first[:size])

    def put(self, tracks: Tracks) -> None:
        """Give audio out. Waits until what is ready was taken, if that is much. Raises Closed."""
        with self._changed:
            while self._ready_samples >= _MAX_READY_SAMPLES and not self._is_closed:
                self._settle(Settled.FULL)
                self._changed.wait()
            if self._is_closed:
                raise Closed
            self._header_bytes = None
            self._ready.append(tracks)
            self._ready_samples += len(tracks[0])

    def done(self, error: HarkenError | None) -> None:
        """The thread is about to return; it calls nothing after this."""
        with self._changed:
            self.error = self.error or error
            self._input.clear()
            self._settle(Settled.DONE)

    def _settle(self, state: Settled) -> None:
        self._settled = state
        if not self._is_closed:  # after close() the loop may be gone
            self._loop.call_soon_threadsafe(self._settled_event.set)

    # From the loop

    def write(self, data: bytes) -> None:
        """Give bytes to the thread. To be followed by `settled`, so no more than one call's bytes are ever held."""
        with self._changed:
            if data and self._settled is not Settled.DONE:  # else it follows what the container holds: nobody reads it
                self._input.append(memoryview(data))
            self._resume()

    def complete(self) -> None:
        """No more bytes will come."""
        with self._changed:
            self._is_complete = True
            self._resume()

    async def settled(self) -> Settled:
        """Wait until the thread can do no more by itself. Cancel-safe."""
        while True:
            self._settled_event.clear()
            with self._changed:
                if self._settled is not None:
                    return self._settled
            await self._settled_event.wait()

    def take(self) -> Tracks:
        """All audio that is ready."""
        with self._changed:
            ready, self._ready, self._ready_samples = self._ready, [], 0
        return join(ready, self._tracks)

    def close(self) -> None:
        """Let the thread go; a task in `settled` sees DONE. Idempotent."""
        with self._changed:
            self._is_closed = True
            self._settled = Settled.DONE
            self._input.clear()
            self._ready.clear()
            self._changed.notify()
        self._settled_event.set()

    def _resume(self) -> None:
        if self._settled is not Settled.DONE:
            self._settled = None
        self._changed.notify()
