"""Engines whose model may end while this process lives."""

import asyncio
from typing import Protocol, runtime_checkable


@runtime_checkable
class MayEnd(Protocol):
    """An engine whose model runs in a process of its own."""

    @property
    def ended(self) -> asyncio.Event:
        """Set when the model is gone for good, though nobody closed the engine."""
