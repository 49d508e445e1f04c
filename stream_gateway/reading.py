"""From a frame to what it asks for; the loop reads no long ones."""

import asyncio
from collections.abc import Sequence

from stream_gateway.dialects.base import Action, Dialect

_SHORT_CHARS = 256 * 1024
"""Of text frames that are read at once: a thread costs more."""


async def actions_of(dialect: Dialect, frame: str | bytes) -> Sequence[Action]:
    """What the next frame of a socket asks for. Raises as the dialect does. One at a time, so that the order stays."""
    if isinstance(frame, bytes):
        return dialect.on_binary(frame)
    read_apart = dialect.read_apart
    if read_apart is None or len(frame) <= _SHORT_CHARS:
        return dialect.on_text(frame)
    take = await asyncio.to_thread(read_apart, frame)
    return take()
