"""Whether anybody answers in chats: the heartbeats of LLM workers, as gateways hear them."""

import asyncio
import contextlib
import logging

from bus.contract import subjects
from bus.contract.errors import BusUnavailable
from bus.contract.presence import decode_presence
from bus.transport.connection import BusConnection


async def until_chat_is_ready(nats_url: str, *, timeout_s: float) -> str | None:
    """Wait for the first LLM worker that says that it is ready, and name its model; None if none does in time."""
    # What the connection logs about a failure says no more than that nobody was heard.
    logging.getLogger("bus.transport").addHandler(logging.NullHandler())
    try:
        async with asyncio.timeout(timeout_s):
            bus = await BusConnection.connect(
                nats_url, name="harken-up", inbox_prefix="_INBOX", connect_timeout_s=timeout_s
            )
            try:
                return await _first_model(bus)
            finally:
                await bus.aclose()
    except (TimeoutError, BusUnavailable):
        return None


async def _first_model(bus: BusConnection) -> str:
    first: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_presence(_: str, data: bytes) -> None:
        with contextlib.suppress(ValueError):  # a worker of another version is not ours to wait for
            presence = decode_presence(data)
            if presence.state == "ready" and not first.done():
                first.set_result(presence.model)

    await bus.subscribe(subjects.PRESENCE_LLM_ALL, on_presence)
    return await first
