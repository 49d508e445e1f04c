"""What a connection does when its server falls silent without hanging up, with bytes on the way to it."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nats.aio.client
import pytest
import uvloop

from bus.contract.errors import BusUnavailable
from bus.transport import connection as connection_module
from bus.transport import round_trip
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats


# The services run on uvloop, its other users may not: the socket of either must be given up.
@pytest.mark.nats
@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_server_that_takes_no_bytes_is_left_for_one_that_does(
    new_event_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_trip, "_PING_TIMEOUT_S", 0.1)
    monkeypatch.setattr(connection_module, "_FLUSH_TIMEOUT_S", 0.1)
    monkeypatch.setattr(nats.aio.client, "shuffle", lambda servers: None)  # else it may try the silent one again first

    async def run() -> None:
        async with EmbeddedNats(store_dir=tmp_path / "one") as one, EmbeddedNats(store_dir=tmp_path / "two") as two:
            await _leave_the_silent_one(one, two)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())


async def _leave_the_silent_one(one: EmbeddedNats, two: EmbeddedNats) -> None:
    bus = await BusConnection.connect(f"{one.url},{two.url}", name="t", inbox_prefix="_INBOX_t")
    back = asyncio.Event()

    async def on_back() -> None:
        back.set()

    bus.on_reconnect(on_back)
    assert _url(bus) == one.url
    with _silenced(one):
        with pytest.raises(BusUnavailable, match="takes no data"):
            while True:
                await bus.publish("inbox.gw.g1.s1", bytes(900_000))
        with pytest.raises(BusUnavailable, match="does not answer"):
            await bus._round_trip.ping()
        async with asyncio.timeout(10):
            await back.wait()
        assert _url(bus) == two.url
        await bus.flush()
    await bus.aclose()


@contextmanager
def _silenced(server: EmbeddedNats) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, server.pid, os.WSTOPPED)  # all of its threads: the signal alone is only a wish
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def _url(bus: BusConnection) -> str:
    connected = bus._client.connected_url
    assert connected is not None
    return f"nats://{connected.netloc}"
