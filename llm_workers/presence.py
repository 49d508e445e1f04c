"""Heartbeats: gateways send work to whom they hear, and directly to whom has a free slot."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, Protocol

from bus.contract import subjects
from bus.contract.errors import BusUnavailable
from bus.contract.presence import HEARTBEAT_INTERVAL_S, WorkerPresence, encode_presence
from llm_workers.engines.base import EngineCapabilities


class Publisher(Protocol):
    """The part of `BusConnection` that sends."""

    async def publish(self, subject: str, data: bytes) -> None:
        """Send now or raise BusUnavailable."""


class Heartbeats:
    """Says that this worker is ready, until it leaves."""

    def __init__(
        self,
        bus: Publisher,
        *,
        worker: str,
        pool: str,
        able: EngineCapabilities,
        aliases: tuple[str, ...],
        free_slots: Callable[[], int],
    ) -> None:
        self._bus = bus
        self._worker = worker
        self._pool = pool
        self._able = able
        self._aliases = aliases
        self._free_slots = free_slots
        self._said_free = False
        self._leaving = False
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Beat until cancelled. A beat that cannot be sent is skipped: the next one follows at once."""
        while True:
            self._changed.clear()
            await self._say("leaving" if self._leaving else "ready")
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_INTERVAL_S):
                    await self._changed.wait()

    def on_slots(self) -> None:
        """Take note that slots were taken or freed: whether there is any is news that does not wait."""
        if (self._free_slots() > 0) != self._said_free:
            self._changed.set()

    async def leave(self) -> None:
        """Tell gateways to send nothing more; `run` goes on to tell that what is here is still worked on."""
        self._leaving = True
        await self._say("leaving")

    async def _say(self, state: Literal["ready", "leaving"]) -> None:
        free_slots = self._free_slots()
        self._said_free = free_slots > 0
        presence = WorkerPresence(
            worker=self._worker,
            pool=self._pool,
            model=self._able.model,
            aliases=self._aliases,
            slots=self._able.slots,
            free_slots=free_slots,
            context_tokens=self._able.context_tokens,
            state=state,
        )
        with suppress(BusUnavailable):
            await self._bus.publish(subjects.presence_llm(self._pool, self._worker), encode_presence(presence))
