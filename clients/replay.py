"""Audio that was sent but not yet committed: what a resume has to send again."""

from collections import deque


class ReplayBuffer:
    """Keeps sent audio by offset until the service commits it. Pure; one owner.

    Offsets count the client's sample frames of `frame_bytes` each, from the session's first sample. At most
    `max_bytes` are held. Overflow rule: the oldest audio is forgotten, `start_offset` moves on and
    `dropped_bytes` counts it. Live audio thus never waits for memory; the price is that a resume could no
    longer fill that gap. It takes a service that holds back commits far beyond the limits it announced.
    """

    def __init__(self, *, frame_bytes: int, max_bytes: int, start_offset: int = 0) -> None:
        self._frame_bytes = frame_bytes
        self._max_bytes = max_bytes
        self._chunks: deque[bytes] = deque()
        self._start_byte = start_offset * frame_bytes
        self._end_byte = self._start_byte
        self.dropped_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes held now, at most `max_bytes`."""
        return self._end_byte - self._start_byte

    @property
    def start_offset(self) -> int:
        """First whole sample frame that `since` can still give."""
        return -(-self._start_byte // self._frame_bytes)

    @property
    def end_offset(self) -> int:
        """Sample frames sent so far; half a frame does not count."""
        return self._end_byte // self._frame_bytes

    def append(self, data: bytes) -> None:
        """Keep `data`, which follows all that came before it. Any length, cut anywhere."""
        self._chunks.append(data)
        self._end_byte += len(data)
        while self.held_bytes > self._max_bytes:
            self.dropped_bytes += self._forget_oldest()

    def commit(self, offset: int) -> None:
        """Forget the chunks that end at or before `offset`. An older offset changes nothing."""
        committed_byte = offset * self._frame_bytes
        while self._chunks and self._start_byte + len(self._chunks[0]) <= committed_byte:
            self._forget_oldest()

    def since(self, offset: int) -> bytes:
        """Give all audio from `offset` on; ValueError if it was forgotten or never sent."""
        if not self.start_offset <= offset <= self.end_offset:
            raise ValueError(f"audio is held from {self.start_offset} to {self.end_offset}, asked from {offset}")
        return b"".join(self._chunks)[offset * self._frame_bytes - self._start_byte :]

    def _forget_oldest(self) -> int:
        size = len(self._chunks.popleft())
        self._start_byte += size
        return size
