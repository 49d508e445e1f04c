"""What tests ask of the broker, and a worker that does with finals as a test likes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from asr_workers.held_jobs import Job
from asr_workers.presence import Heartbeats
from bus.contract import subjects
from bus.contract.records import Record, decode_record
from bus.contract.work import AsrRequest, AsrResult, AsrTaken, Word, decode_request, decode_taken, encode
from bus.transport.connection import BusConnection
from bus.transport.jetstream_api import NANOSECONDS
from bus.transport.raw_pull import RawPull
from tests.conftest import POOL

Treat: TypeAlias = Callable[[Job, AsrRequest], Awaitable[None]]
_WITHIN_S = 30.0


async def unacknowledged_finals(bus: BusConnection) -> int:
    """How many finals workers hold that they have not acknowledged."""
    call = f"CONSUMER.INFO.{subjects.STREAM_ASR_FINAL}.{subjects.asr_consumer(POOL)}"
    return int((await bus.request_api(call))["num_ack_pending"])


async def unacknowledged(bus: BusConnection, is_wanted: Callable[[int], bool]) -> None:
    """Return once the number of finals that workers hold is as wanted."""
    async with asyncio.timeout(_WITHIN_S):
        while not is_wanted(await unacknowledged_finals(bus)):
            pass


async def is_decoding(bus: BusConnection) -> None:
    """Return once a worker holds a final that it has not acknowledged."""
    await unacknowledged(bus, lambda held: held > 0)


async def lease_finals_for(bus: BusConnection, seconds: float) -> None:
    """Let the broker wait so long for a worker that is silent, for those too that have a final already."""
    name = subjects.asr_consumer(POOL)
    info = await bus.request_api(f"CONSUMER.INFO.{subjects.STREAM_ASR_FINAL}.{name}")
    config = {**info["config"], "ack_wait": round(seconds * NANOSECONDS)}
    call = f"CONSUMER.CREATE.{subjects.STREAM_ASR_FINAL}.{name}.{config['filter_subject']}"
    body = {"stream_name": subjects.STREAM_ASR_FINAL, "config": config}
    await bus.request_api(call, json.dumps(body).encode())


async def watch_taken(bus: BusConnection) -> asyncio.Queue[AsrTaken]:
    """Which worker pulls which final, as it happens."""
    notices: asyncio.Queue[AsrTaken] = asyncio.Queue()
    await bus.subscribe(subjects.TAKEN_ALL, lambda _, data: notices.put_nowait(decode_taken(data)))
    await bus.flush()
    return notices


async def published_finals(bus: BusConnection) -> int:
    """How many windows of finals were ever put into the broker, repeated ones too."""
    return int((await bus.request_api(f"STREAM.INFO.{subjects.STREAM_ASR_FINAL}"))["state"]["last_seq"])


async def stored(bus: BusConnection) -> list[int]:
    """How many records each session has that has any."""
    info = await bus.request_api("STREAM.INFO.TRANSCRIPTS", b'{"subjects_filter": ">"}')
    return list(info["state"].get("subjects", {}).values())


async def watch(bus: BusConnection) -> asyncio.Queue[Record]:
    """Records as they are stored."""
    records: asyncio.Queue[Record] = asyncio.Queue()
    await bus.subscribe(subjects.live_tenant("default"), lambda _, data: records.put_nowait(decode_record(data)))
    await bus.flush()
    return records


@asynccontextmanager
async def hand_made_worker(bus: BusConnection, treat: Treat) -> AsyncIterator[None]:
    """A worker that is known to gateways, and hands each final that it pulls to `treat`. Partials it leaves alone."""
    finals = RawPull(bus, stream=subjects.STREAM_ASR_FINAL, consumer=subjects.asr_consumer(POOL))
    beats = Heartbeats(bus, worker="w1", pool=POOL, model="base", slots=1, final_load=lambda: 0.0)

    async def work() -> None:
        while (job := await finals.fetch(wait_s=None)) is not None:
            await treat(job, decode_request(job.data))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        beating = tasks.create_task(beats.run())
        yield
        beating.cancel()
        await finals.aclose()


async def answer(bus: BusConnection, request: AsrRequest, text: str, words: tuple[Word, ...] = ()) -> None:
    """Say that this is what was heard."""
    result = AsrResult(
        session=request.session,
        segment=request.segment,
        window=request.window,
        kind=request.kind,
        text=text,
        words=words,
    )
    await bus.publish(subjects.inbox(request.gateway, request.session), encode(result))
