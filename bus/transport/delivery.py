"""One delivery of a message from a work stream, and the answers a worker may give to it."""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from nats.aio.msg import Msg

from bus.transport.jetstream_api import NANOSECONDS

DELIVER_AGAIN = b"-NAK"
"""To an `ack_subject`: not done, deliver it to somebody else now."""
Respond = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A message to work on, ours until it is answered or its `ack_wait` passes without a sign of life.

    The answers are sent without acknowledgement and raise BusUnavailable when not connected: the broker then delivers
    the job again, to anyone. A late `ack` after such a redelivery is accepted. Answer once; `in_progress` any number
    of times before.
    """

    data: bytes = field(repr=False)
    subject: str
    deliveries: int
    """1 for the first time."""
    stored_age_s: float
    """Seconds from storing to delivery by the clocks of broker and this machine, never below 0."""
    ack_subject: str
    """Where the broker takes the answers; who knows that this process is gone may give one in its name."""
    respond: Respond = field(repr=False)
    """Sends one answer to the broker."""

    async def ack(self) -> None:
        """Done: the broker removes the message."""
        await self.respond(b"+ACK")

    async def nak(self, delay_s: float | None = None) -> None:
        """Not done: deliver it again, at once or after `delay_s`. Counts as a delivery."""
        if delay_s is None:
            await self.respond(DELIVER_AGAIN)
        else:
            await self.respond(b"-NAK " + json.dumps({"delay": round(delay_s * NANOSECONDS)}).encode())

    async def term(self, reason: str) -> None:
        """Never deliver it again: it becomes a dead letter with `reason`, which holds no user words."""
        await self.respond(b"+TERM " + reason.encode())

    async def in_progress(self) -> None:
        """Still working: `ack_wait` begins anew."""
        await self.respond(b"+WPI")


def read_job(message: Msg, respond: Respond) -> Job:
    """The job in a message that a consumer delivered. Raises nats' NotJSMessageError if none did."""
    metadata = message.metadata
    return Job(
        data=message.data,
        subject=message.subject,
        deliveries=metadata.num_delivered,
        stored_age_s=max(0.0, time.time() - metadata.timestamp.timestamp()),
        ack_subject=message.reply,
        respond=respond,
    )
