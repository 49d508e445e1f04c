"""How much of what clients send may wait in all, and who is cut when it is more. Pure."""

from typing import Generic, TypeVar

Key = TypeVar("Key")


class HeldInput(Generic[Key]):
    """The bytes that each connection of a process has sent and that are not done with, or that wait for it to read.

    Once the sum is above `max_bytes`, a connection that adds to it while it holds more than an even share has to go: so
    those who send what is usual are never cut for what others do, and the sum stays below twice the limit.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: dict[Key, int] = {}
        self.total_bytes = 0

    def hold(self, key: Key, held_bytes: int) -> bool:
        """Note what a connection holds now; False if it has to go."""
        before = self._held.get(key, 0)
        self._held[key] = held_bytes
        self.total_bytes += held_bytes - before
        if held_bytes <= before or self.total_bytes <= self._max_bytes:
            return True
        return held_bytes <= self._max_bytes / len(self._held)

    def release(self, key: Key) -> None:
        """The connection is gone. Idempotent."""
        self.total_bytes -= self._held.pop(key, 0)


class Strangers(Generic[Key]):
    """Connections that have not come to a session: of too many the oldest goes, for whoever means it takes no time."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._waiting: dict[Key, None] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._waiting)

    def come(self, key: Key) -> Key | None:
        """One more; returns who has to go for it."""
        self._waiting[key] = None
        return next(iter(self._waiting)) if len(self._waiting) > self._most else None

    def leave(self, key: Key) -> None:
        """It came to a session, or is gone. Idempotent."""
        self._waiting.pop(key, None)
