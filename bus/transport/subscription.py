"""Interest in a subject, with two ways to end it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import nats.errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription as NatsSubscription

from bus.contract.errors import BusUnavailable


class Subscription:
    """Ended by `unsubscribe` or `withdraw`, or with its connection."""

    def __init__(self, client: Client, inner: NatsSubscription, flush: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._inner = inner
        self._flush = flush

    async def unsubscribe(self) -> None:
        """End at once; what was received and not yet handled is dropped. Idempotent, never raises."""
        with suppress(nats.errors.Error):
            await self._inner.unsubscribe()

    async def withdraw(self) -> None:
        """End the interest in the broker first, take what was on its way, then end. Idempotent, never raises.

        After it, every message that the broker has sent for this subscription has been handled.
        """
        with suppress(nats.errors.Error, BusUnavailable):
            # nats-py's drain flushes without waiting for its buffer, so a message could still cross the UNSUB and be
            # dropped; and no other public call ends the interest while still taking what is in flight.
            await self._client._send_unsubscribe(self._inner._id)  # noqa: SLF001
            await self._flush()
            while self._inner.pending_msgs:  # noqa: ASYNC110 - nats-py tells nobody when its queue is empty
                await asyncio.sleep(0)
        await self.unsubscribe()
