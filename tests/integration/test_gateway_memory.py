"""What a gateway keeps of sessions that have ended."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from stream_gateway.audio.ring import AudioBuffer
from stream_gateway.live_session import LiveSession
from stream_gateway.sockets import GuardedConnection
from tests.integration.gateway_client import events_until_closed, figures, said, speech
from tests.integration.gateways_here import gateway_here, worker_here

WITHIN_S = 10.0


@pytest.fixture
def no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def departures() -> list[asyncio.Event]:
    """What is still there of sessions and their connections, each as the event that it is freed."""
    events = []
    for one in gc.get_objects():
        if type(one) in (AudioBuffer, GuardedConnection, LiveSession):
            freed = asyncio.Event()
            weakref.finalize(one, freed.set)
            events.append(freed)
    return events


@pytest.mark.weights
@pytest.mark.usefixtures("no_collections")
async def test_a_session_that_has_ended_leaves_nothing_to_the_collector_of_garbage(
    nats_server: EmbeddedNats, silero_path: Path, bus: BusConnection
) -> None:
    async with worker_here(bus), gateway_here(nats_server.url, silero_path) as port:
        for fields in ({"partials": False}, {"partials": False, "chat": {"auto": False}}):
            events = await events_until_closed(await said(port, speech(4), **fields))
            assert any(one["type"] == "transcript.final" for one in events)
        while (await figures(port))["harken_gateway_sessions"]:
            pass
        async with asyncio.timeout(WITHIN_S):
            for freed in departures():  # the request for the figures is a connection, too
                await freed.wait()
