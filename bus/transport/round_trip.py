"""Round trips to the server: the true flush, and the watchdog over a client whose read loop may die unnoticed."""

import asyncio
import logging
from contextlib import suppress

import nats.errors
from nats.aio.client import Client

from bus.contract.errors import BusUnavailable

_PING_TIMEOUT_S = 5
_log = logging.getLogger(__name__)


class RoundTrip:
    """PINGs of one client. nats-py's read loop dies when a PONG finds its PING cancelled or timed out; hence this."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    async def ping(self) -> None:
        """Return when the server has answered; connect anew if it does not. Raises BusUnavailable. Cancel-safe."""
        pinging = asyncio.ensure_future(self._ping())
        pinging.add_done_callback(_consume)
        await asyncio.shield(pinging)

    async def watch(self, interval_s: float) -> None:
        """Ping for ever, while there is a connection."""
        while True:
            await asyncio.sleep(interval_s)
            if self._client.is_connected:
                with suppress(BusUnavailable):
                    await self.ping()

    async def _ping(self) -> None:
        connection_number = self._client.stats["reconnects"]
        try:
            await self._client.rtt(timeout=_PING_TIMEOUT_S)
        except nats.errors.TimeoutError:
            if self._client.stats["reconnects"] == connection_number:
                _log.warning("NATS does not answer, connecting anew", extra={"connection": self._name})
                self._abandon_socket()
                await self._client.force_reconnect()
            raise BusUnavailable("NATS does not answer") from None
        except nats.errors.Error as error:
            raise BusUnavailable(f"no round trip to NATS: {error}") from None

    def _abandon_socket(self) -> None:
        # As read in nats-py 2.16.0: a reconnect first waits until the old socket is closed, and closing waits for its
        # unsent bytes. A peer that is silent takes none, so that nothing would happen until TCP gives up, after some
        # 15 minutes. Only its TCP transport (TLS too) has the writer; aiohttp's WebSocket bounds its close by itself.
        writer = getattr(self._client._transport, "_io_writer", None)  # noqa: SLF001 - there is no public way to it
        if self._client.is_connected and writer is not None:
            writer.transport.abort()


def _consume(pinging: asyncio.Future[None]) -> None:
    if not pinging.cancelled():
        pinging.exception()
