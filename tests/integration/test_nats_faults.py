"""What NATS can do to sessions: vanish with what it stored, be full, be cut off, lose a server. No word is lost.

Real processes on real nats-servers. `make test-faults` runs those that need a cluster, and wait for its elections.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asr_workers.held_jobs import Job
from bus.contract import subjects
from bus.contract.work import AsrRequest
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from tests.integration.broker import answer, hand_made_worker, stored
from tests.integration.conftest import Launch
from tests.integration.gateway_client import (
    closed_with,
    event,
    events_until_closed,
    figures,
    half_said,
    said,
    say_the_rest,
    speech,
    undisturbed_text,
)
from tests.integration.patience import needs_patience
from tests.nats_cluster import NatsCluster, running_cluster
from tests.stalling_proxy import proxy_to

pytestmark = pytest.mark.weights
WITHIN_S = 30.0


def port_of(server: EmbeddedNats) -> int:
    return int(server.url.rpartition(":")[2])


async def limited(bus: BusConnection, stream: str, **limits: object) -> dict[str, object]:
    """Change a stream's limits; returns the configuration that it had."""
    before: dict[str, object] = (await bus.request_api(f"STREAM.INFO.{stream}"))["config"]
    await bus.request_api(f"STREAM.UPDATE.{stream}", json.dumps({**before, **limits}).encode())
    return before


async def test_a_broker_that_comes_back_without_its_store_costs_a_pause_and_no_word(
    launch_gateway: Launch, launch_worker: Launch, nats_server: EmbeddedNats, tmp_path: Path
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    expected = await undisturbed_text(gateway.port, speech())

    socket = await half_said(gateway.port)
    await nats_server.kill()
    assert (await event(socket, "error"))["code"] == "bus_unavailable"
    shutil.rmtree(tmp_path / "nats" / "data")
    await nats_server.start()
    await say_the_rest(socket)

    assert (await event(socket, "transcript.final"))["text"] == expected
    assert await closed_with(socket) == 1000


async def test_a_queue_that_is_full_holds_finals_in_the_gateway_until_there_is_room(
    launch_gateway: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    release = asyncio.Event()

    async def keep(job: Job, request: AsrRequest) -> None:
        await release.wait()
        await answer(bus, request, f"segment {request.segment}")
        await job.ack()

    async with hand_made_worker(bus, keep):
        await limited(bus, subjects.STREAM_ASR_FINAL, max_msgs=1)
        sockets = [await said(gateway.port, speech(4), partials=False) for _ in range(3)]
        while (await figures(gateway.port)).get(DROPPED.format("failed", "final_publish"), 0) < 2:
            pass
        release.set()
        for socket in sockets:
            assert (await event(socket, "transcript.final"))["text"] == "segment 1"
            assert await closed_with(socket) == 1000
    assert await stored(bus) == [1, 1, 1]


async def test_a_record_that_is_full_holds_finals_back_until_they_can_be_stored(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    before = await limited(bus, subjects.STREAM_TRANSCRIPTS, max_msgs=1, discard="new")
    await bus.publish_stored(subjects.transcripts("other", "s"), b"{}", msg_id="in the way")
    socket = await said(gateway.port, speech(4), partials=False)
    await gateway.logged("record not stored")
    await bus.request_api(f"STREAM.UPDATE.{subjects.STREAM_TRANSCRIPTS}", json.dumps(before).encode())

    assert (await event(socket, "transcript.final"))["text"]
    assert await closed_with(socket) == 1000


async def test_finals_that_vanish_with_their_queue_are_asked_for_anew_though_nobody_lost_a_connection(
    launch_gateway: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    taken = asyncio.Event()

    async def keep_the_first(job: Job, request: AsrRequest) -> None:
        if taken.is_set():
            await answer(bus, request, "the second time")
            await job.ack()
        taken.set()

    async with hand_made_worker(bus, keep_the_first):
        socket = await said(gateway.port, speech(4), partials=False)
        await taken.wait()
        while 'harken_gateway_queue_depth{pool="std"}' not in await figures(gateway.port):
            pass
        await bus.request_api(f"STREAM.DELETE.{subjects.STREAM_ASR_FINAL}")
        assert (await event(socket, "transcript.final"))["text"] == "the second time"
        assert await closed_with(socket) == 1000
    assert await stored(bus) == [1]


async def test_a_gateway_that_the_broker_cuts_off_goes_on_with_what_it_had(
    launch_gateway: Launch, launch_worker: Launch, nats_server: EmbeddedNats, bus: BusConnection
) -> None:
    async with proxy_to(port_of(nats_server)) as proxy:
        gateway = await launch_gateway(NATS_URL=proxy.url)
        await launch_worker()
        expected = await undisturbed_text(gateway.port, speech())
        socket = await half_said(gateway.port)
        proxy.cut()
        await gateway.logged("connection to NATS is back")
        await say_the_rest(socket)
        assert (await event(socket, "transcript.final"))["text"] == expected
        assert await closed_with(socket) == 1000
    assert await stored(bus) == [1, 1]


@needs_patience
async def test_a_gateway_cut_off_from_one_server_goes_on_over_another(
    launch_gateway: Launch, launch_worker: Launch, nats_server: EmbeddedNats, bus: BusConnection
) -> None:
    port = port_of(nats_server)
    async with proxy_to(port) as one, proxy_to(port) as other:
        gateway = await launch_gateway(NATS_URL=f"{one.url},{other.url}")
        await launch_worker()
        expected = await undisturbed_text(gateway.port, speech())
        socket = await half_said(gateway.port)
        next(proxy for proxy in (one, other) if proxy.links > 0).stall()
        await say_the_rest(socket)
        assert (await event(socket, "transcript.final"))["text"] == expected
        assert await closed_with(socket) == 1000
    assert await stored(bus) == [1, 1]


DROPPED = 'harken_gateway_dropped_total{{reason="{}",what="{}"}}'


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[NatsCluster]:
    async with running_cluster(tmp_path / "cluster") as nodes:
        yield nodes


@needs_patience
@pytest.mark.parametrize("stream", [subjects.STREAM_ASR_FINAL, subjects.STREAM_TRANSCRIPTS])
async def test_a_cluster_that_loses_the_leader_of_a_stream_costs_a_pause_and_no_word(
    launch_gateway: Launch, launch_worker: Launch, cluster: NatsCluster, stream: str
) -> None:
    settings = {"NATS_URL": cluster.url, "HARKEN_BUS_REPLICAS": "3"}
    gateway = await launch_gateway(**settings)
    await launch_worker(**settings)
    expected = await undisturbed_text(gateway.port, speech())
    watcher = await BusConnection.connect(cluster.url, name="t", inbox_prefix="_INBOX_t")
    socket = await half_said(gateway.port)
    leader = await cluster.leader_of(watcher, stream)
    await cluster.nodes[leader].kill()
    await say_the_rest(socket)

    events = await events_until_closed(socket)
    assert [one["text"] for one in events if one["type"] == "transcript.final"] == [expected]
    assert socket.close_code == 1000
    assert await stored(watcher) == [1, 1]
    await watcher.aclose()
