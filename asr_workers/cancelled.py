"""Windows that nobody waits for any more. Pure.

A cancel goes to every worker of a pool, and any of them may be the one that pulls the window, before or after; so each
remembers what was cancelled. The oldest is forgotten first: by then its window has long come and gone.
"""

from typing import NamedTuple

_MAX_REMEMBERED = 4096


class WindowKey(NamedTuple):
    """What makes a window one: all its deliveries and attempts share it."""

    session: str
    segment: int
    window: int


class Cancelled:
    """A bounded memory of cancels."""

    def __init__(self, max_remembered: int = _MAX_REMEMBERED) -> None:
        self._max_remembered = max_remembered
        self._keys: dict[WindowKey, None] = {}

    def add(self, key: WindowKey) -> None:
        """Remember a cancel. Idempotent."""
        self._keys[key] = None
        if len(self._keys) > self._max_remembered:
            del self._keys[next(iter(self._keys))]

    def __contains__(self, key: WindowKey) -> bool:
        return key in self._keys
