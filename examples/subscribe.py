"""Print a tenant's transcripts from the bus: live ones, or stored ones from a point on. Needs nats-py alone."""

import argparse
import asyncio
import json
from datetime import UTC, datetime, timedelta

import nats
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


async def show(message: Msg) -> None:
    """Print one final; docs/bus.md lists all fields. Types and fields that are not known here are left alone."""
    record = json.loads(message.data)
    if record["type"] == "transcript.final" and record["text"]:
        # Live records carry their sequence in a header that the broker adds, stored ones in their metadata.
        seq = (message.headers or {}).get("Nats-Sequence") or message.metadata.sequence.stream
        print(f"{seq} {record['session']} {record['start_s']:.1f}s {record['text']}", flush=True)


async def main(options: argparse.Namespace) -> None:
    """Subscribe, and print until interrupted."""
    bus = await nats.connect(options.nats_url)
    start = {}
    if options.replay_from_seq:
        start = {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": options.replay_from_seq}
    elif options.replay_since:
        age = timedelta(**{UNITS[options.replay_since[-1]]: float(options.replay_since[:-1])})
        start = {"deliver_policy": DeliverPolicy.BY_START_TIME, "opt_start_time": datetime.now(UTC) - age}
    if start:  # stored records in order, then new ones as they are stored
        stored, config = f"transcripts.{options.tenant}.>", ConsumerConfig(**start)
        await bus.jetstream().subscribe(stored, stream="TRANSCRIPTS", cb=show, ordered_consumer=True, config=config)
    else:
        await bus.subscribe(f"live.{options.tenant}.>", cb=show)
    print(f"listening for tenant {options.tenant}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nats-url", default="nats://127.0.0.1:4222")
    parser.add_argument("--tenant", default="default")
    parser.add_argument("--replay-from-seq", type=int, metavar="N", help="stored records from this sequence on")
    parser.add_argument("--replay-since", metavar="10m", help="stored records of the last so many s, m, h or d")
    asyncio.run(main(parser.parse_args()))
