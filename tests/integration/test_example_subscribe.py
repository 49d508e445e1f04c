"""The example of a downstream app, run as it stands against a real nats-server."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bus.contract import records, subjects
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats

EXAMPLE = Path(__file__).parents[2] / "examples" / "subscribe.py"
PATIENCE_S = 20.0


@asynccontextmanager
async def subscriber(url: str, *arguments: str, tenant: str = "acme") -> AsyncIterator[Process]:
    """Run the example until the block is left; it listens when the block begins."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), "--nats-url", url, "--tenant", tenant, *arguments, stdout=PIPE
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.communicate()


async def next_line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        return (await process.stdout.readline()).decode().rstrip("\n")


async def store(bus: BusConnection, record: records.SegmentRecord) -> int:
    stored = await bus.publish_stored(
        subjects.transcripts(record.tenant, record.session),
        records.encode_record(record),
        msg_id=records.record_id(record.session, record.segment),
    )
    return stored.seq


def final(segment: int, text: str, *, tenant: str = "acme") -> records.TranscriptFinal:
    return records.TranscriptFinal(
        tenant=tenant,
        session="s1" if tenant == "acme" else "s2",
        segment=segment,
        start_s=float(segment),
        end_s=segment + 1.0,
        text=text,
    )


async def test_it_prints_live_finals_of_its_own_tenant_and_nothing_else(
    nats_server: EmbeddedNats, bus: BusConnection
) -> None:
    await store(bus, final(1, "stored before it listened"))
    async with subscriber(nats_server.url) as process:
        assert await next_line(process) == "listening for tenant acme"
        await store(bus, final(2, "of another tenant", tenant="other"))
        await store(bus, final(2, ""))
        failed = records.SegmentFailed(
            tenant="acme", session="s1", segment=3, start_s=3.0, end_s=4.0, code="decode_failed", message="gave up"
        )
        await store(bus, failed)
        seq = await store(bus, final(4, "hello live"))
        assert await next_line(process) == f"{seq} s1 4.0s hello live"


async def test_it_replays_from_a_sequence_and_goes_on_with_what_is_stored_later(
    nats_server: EmbeddedNats, bus: BusConnection
) -> None:
    for segment in (1, 2, 3):
        await store(bus, final(segment, f"number {segment}"))
        await store(bus, final(segment, "of another tenant", tenant="other"))
    async with subscriber(nats_server.url, "--replay-from-seq", "2") as process:
        lines = {await next_line(process) for _ in range(3)}
        assert lines == {"listening for tenant acme", "3 s1 2.0s number 2", "5 s1 3.0s number 3"}
        await store(bus, final(4, "number 4"))
        assert await next_line(process) == "7 s1 4.0s number 4"


async def test_it_replays_what_was_stored_since_some_time_ago(nats_server: EmbeddedNats, bus: BusConnection) -> None:
    await store(bus, final(1, "one"))
    await store(bus, final(1, "one"))  # published twice, stored once
    await store(bus, final(2, "two"))
    async with subscriber(nats_server.url, "--replay-since", "10m") as process:
        lines = [await next_line(process) for _ in range(3)]
    assert [line for line in lines if "listening" not in line] == ["1 s1 1.0s one", "2 s1 2.0s two"]
