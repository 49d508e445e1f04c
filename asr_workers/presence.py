"""What gateways hear of a worker beside its results: that it is there, and which finals it has."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, Protocol

from bus.contract import subjects
from bus.contract.errors import BusUnavailable
from bus.contract.presence import HEARTBEAT_INTERVAL_S, WorkerPresence, encode_presence
from bus.contract.work import AsrRequest, AsrTaken, encode


class Publisher(Protocol):
    """The part of `BusConnection` that sends."""

    async def publish(self, subject: str, data: bytes) -> None:
        """Send now or raise BusUnavailable."""


class Heartbeats:
    """Says that this worker is ready, until it leaves."""

    def __init__(
        self, bus: Publisher, *, worker: str, pool: str, model: str, slots: int, final_load: Callable[[], float]
    ) -> None:
        """`final_load` tells the share of the slots that finals use."""
        self._bus = bus
        self._worker = worker
        self._pool = pool
        self._model = model
        self._slots = slots
        self._final_load = final_load

    async def run(self) -> None:
        """Beat until cancelled. A beat that cannot be sent is skipped: the next one follows at once."""
        while True:
            await self._say("ready")
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)

    async def leave(self) -> None:
        """Tell gateways not to count on this worker any more. Cancel `run` first."""
        await self._say("leaving")

    async def _say(self, state: Literal["ready", "leaving"]) -> None:
        presence = WorkerPresence(
            worker=self._worker,
            pool=self._pool,
            model=self._model,
            slots=self._slots,
            state=state,
            final_load=round(self._final_load(), 3),
        )
        with suppress(BusUnavailable):
            await self._bus.publish(subjects.presence_asr(self._pool, self._worker), encode_presence(presence))


async def tell_taken(bus: Publisher, request: AsrRequest, *, worker: str, ack_subject: str) -> None:
    """Tell a gateway who has its final, so that it is not left waiting for a worker that is gone."""
    taken = AsrTaken(
        session=request.session,
        segment=request.segment,
        window=request.window,
        worker=worker,
        ack_subject=ack_subject,
    )
    with suppress(BusUnavailable):  # without it the lease runs out, a little later
        await bus.publish(subjects.taken(request.gateway, request.session), encode(taken))
