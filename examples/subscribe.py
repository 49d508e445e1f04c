"""Print a tenant's transcripts from NATS: new ones, or stored ones first. Needs nats-py alone; see docs/bus.md."""

import argparse
import asyncio
import json
from datetime import UTC, datetime, timedelta

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


async def main(url: str, tenant: str, from_seq: int | None, since: str | None) -> None:
    """Subscribe, and print finals until interrupted; other records, and finals without text, are left alone."""
    bus = await nats.connect(url)
    if from_seq or since:  # stored records in order, then new ones as they are stored
        start = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=from_seq)
        if since:
            time = datetime.now(UTC) - timedelta(**{UNITS[since[-1]]: float(since[:-1])})
            start = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=time)
        stored = f"transcripts.{tenant}.>"
        records = (await bus.jetstream().subscribe(stored, ordered_consumer=True, config=start)).messages
    else:
        records = (await bus.subscribe(f"live.{tenant}.>")).messages
    await bus.flush()  # the server has the subscription when this returns
    print(f"listening for tenant {tenant}", flush=True)
    async for message in records:
        record = json.loads(message.data)
        if record["type"] == "transcript.final" and record["text"]:
            seq = (message.headers or {}).get("Nats-Sequence") or message.metadata.sequence.stream
            print(f"{seq} {record['session']} {record['start_s']:.1f}s {record['text']}", flush=True)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--nats-url", default="nats://127.0.0.1:4222", dest="url")
parser.add_argument("--tenant", default="default")
parser.add_argument("--replay-from-seq", type=int, dest="from_seq", help="stored records from this sequence on")
parser.add_argument("--replay-since", dest="since", help="stored records of the last 90s, 10m, 2h or 7d")
asyncio.run(main(**vars(parser.parse_args())))
