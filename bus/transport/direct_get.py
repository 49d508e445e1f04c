"""What a stream holds of one subject, read without a consumer. Any replica may answer, and may lag behind."""

import asyncio
import json

from nats.aio.msg import Msg

from bus.contract.errors import BusUnavailable
from bus.transport.connection import BusConnection
from bus.transport.jetstream_api import EndOfBatch, StoredMessage, parse_direct

_TIMEOUT_S = 2.0
_BATCH = 256


async def newest_message(bus: BusConnection, stream: str, subject: str) -> StoredMessage | None:
    """The newest message of `subject`, None if there is none. Raises as `BusConnection.request_api`."""
    reply = await bus.request(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"", timeout_s=_TIMEOUT_S)
    message = parse_direct(reply.headers or {}, reply.data)
    return message if isinstance(message, StoredMessage) else None


async def all_messages(bus: BusConnection, stream: str, subject: str, *, max_bytes: int) -> list[StoredMessage]:
    """All messages of `subject`, oldest first, or as many as are a little more than `max_bytes` in all.

    Raises BusUnavailable if any part of the answer is late.
    """
    messages: list[StoredMessage] = []
    held_bytes = 0
    replies: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = bus.new_inbox()
    subscription = await bus.subscribe_replies(inbox, replies.put_nowait)
    try:
        while True:
            first = messages[-1].seq + 1 if messages else 1
            body = {"seq": first, "next_by_subj": subject, "batch": _BATCH}
            await bus.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(body).encode(), reply_to=inbox)
            batch, follows = await _take_batch(replies)
            messages += batch
            held_bytes += sum(len(message.data) for message in batch)
            if not follows or held_bytes > max_bytes:
                return messages
    finally:
        await subscription.unsubscribe()


async def _take_batch(replies: asyncio.Queue[Msg]) -> tuple[list[StoredMessage], bool]:
    """The messages of one batch, and whether more follow behind it."""
    messages: list[StoredMessage] = []
    while True:
        try:
            reply = await asyncio.wait_for(replies.get(), _TIMEOUT_S)
        except TimeoutError:
            raise BusUnavailable(f"no answer from JetStream within {_TIMEOUT_S:g} s") from None
        part = parse_direct(reply.headers or {}, reply.data)
        if not isinstance(part, StoredMessage):
            return messages, isinstance(part, EndOfBatch) and part.pending > 0
        messages.append(part)
