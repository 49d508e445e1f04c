"""How far a pool has come with its queue of finals."""

from dataclasses import dataclass

from bus.contract import subjects
from bus.transport.connection import BusConnection
from bus.transport.jetstream_api import whole


@dataclass(frozen=True, slots=True)
class QueueState:
    """A snapshot, already a little old when it is read."""

    waiting: int
    """Messages that no worker has taken yet."""
    taken_upto_seq: int
    """All of the pool's messages up to this one were handed to a worker, or have expired."""
    acked_upto_seq: int
    """Of all of them up to this one a worker has said that it is done."""
    born: str
    """When the queue came to be, as the broker says it."""

    def continues(self, before: "QueueState") -> bool:
        """Whether what was in the queue `before` is, or has been handed out; else it vanished with a server."""
        return self.born == before.born and self.taken_upto_seq >= before.taken_upto_seq


async def finals_queue(bus: BusConnection, pool: str) -> QueueState:
    """Ask the broker. Raises as `BusConnection.request_api`; AssetMissing for a pool that no worker ever joined."""
    info = await bus.request_api(f"CONSUMER.INFO.{subjects.STREAM_ASR_FINAL}.{subjects.asr_consumer(pool)}")
    return QueueState(
        waiting=whole(info, "num_pending"),
        taken_upto_seq=whole(info, "delivered", "stream_seq"),
        acked_upto_seq=whole(info, "ack_floor", "stream_seq"),
        born=str(info.get("created")),
    )
