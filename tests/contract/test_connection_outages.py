"""How a connection to a real nats-server opens and closes, and what it makes of a server that fails."""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bus.contract.errors import BusUnavailable
from bus.transport import round_trip
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from tests.conftest import ConnectBus


async def test_without_a_server_publishing_fails_at_once_and_nothing_is_sent_later(
    bus: BusConnection, nats_server: EmbeddedNats, connect_bus: ConnectBus
) -> None:
    await _kill(nats_server, seen_by=bus)
    assert not bus.is_connected
    for attempt in (
        bus.publish("inbox.gw.g1.s1", b"lost"),
        bus.publish_stored("transcripts.t1.s1", b"lost", msg_id="1"),
        bus.flush(),
    ):
        with pytest.raises(BusUnavailable):
            await attempt
    with pytest.raises(BusUnavailable):
        await bus.subscribe("inbox.gw.g1.>", lambda subject, data: None)
    await nats_server.start()
    reader = await connect_bus("reader")
    received: list[bytes] = []
    await reader.subscribe("inbox.gw.g1.>", lambda subject, data: received.append(data))
    await reader.flush()
    await bus.wait_connected()
    await bus.publish("inbox.gw.g1.s1", b"after")
    await bus.flush()
    await reader.flush()
    assert received == [b"after"]


async def test_after_a_restart_assets_come_first_then_callbacks_in_order(
    bus: BusConnection, nats_server: EmbeddedNats
) -> None:
    order: list[str] = []
    done = asyncio.Event()

    async def first() -> None:
        info = await bus.request_api("STREAM.INFO.ASR_FINAL")
        order.append(f"first with {info['config']['name']}")
        raise BusUnavailable("one callback's trouble is not the next one's")

    async def second() -> None:
        order.append("second")
        done.set()

    bus.on_reconnect(first)
    bus.on_reconnect(second)
    bus.remove_on_reconnect(bus.flush)
    await nats_server.kill()
    await nats_server.start()
    async with asyncio.timeout(10):
        await done.wait()
    assert order == ["first with ASR_FINAL", "second"]


async def test_subscriptions_survive_a_restart(bus: BusConnection, nats_server: EmbeddedNats) -> None:
    received = asyncio.Event()
    await bus.subscribe("inbox.gw.g1.>", lambda subject, data: received.set())
    await _kill(nats_server, seen_by=bus)
    await nats_server.start()
    async with asyncio.timeout(10):
        await bus.wait_connected()
        await bus.flush()
        await bus.publish("inbox.gw.g1.s1", b"x")
        await received.wait()


async def test_that_a_listener_is_gone_is_known_at_once(bus: BusConnection, connect_bus: ConnectBus) -> None:
    listener = await connect_bus("listener")
    await listener.subscribe("alive.asr.w1", lambda subject, data: None)
    await listener.flush()
    assert await bus.someone_listens("alive.asr.w1", within_s=0.01)
    await listener.aclose()
    assert not await bus.someone_listens("alive.asr.w1", within_s=10.0)


async def test_without_a_server_nobody_can_tell_who_listens(bus: BusConnection, nats_server: EmbeddedNats) -> None:
    await _kill(nats_server, seen_by=bus)
    with pytest.raises(BusUnavailable):
        await bus.someone_listens("alive.asr.w1", within_s=0.01)


async def test_connecting_to_a_dead_port_ends_within_its_timeout() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    began_at = time.monotonic()
    with pytest.raises(BusUnavailable, match=f"nats://127.0.0.1:{port} within 0.3 s"):
        await BusConnection.connect(
            f"nats://someone:secret@127.0.0.1:{port}", name="t", inbox_prefix="_INBOX_t", connect_timeout_s=0.3
        )
    assert time.monotonic() - began_at < 2.0


async def test_connecting_waits_for_a_server_that_is_still_starting(nats_server: EmbeddedNats) -> None:
    await nats_server.kill()
    connecting = asyncio.create_task(BusConnection.connect(nats_server.url, name="t", inbox_prefix="_INBOX_t"))
    await asyncio.sleep(0)
    await nats_server.start()
    connection = await connecting
    assert connection.is_connected
    await connection.aclose()


async def test_a_server_that_hangs_up_before_its_first_pong_is_no_connection() -> None:
    async with _server_that_hangs_up() as port:
        with pytest.raises(BusUnavailable):
            await BusConnection.connect(
                f"nats://127.0.0.1:{port}", name="t", inbox_prefix="_INBOX_t", connect_timeout_s=1.0
            )


async def test_a_malformed_url_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="must look like") as caught:
        await BusConnection.connect("http://user:secret@host", name="t", inbox_prefix="_INBOX_t")
    assert "secret" not in str(caught.value)


async def test_a_wrong_password_is_refused_at_once_and_not_shown(tmp_path: Path) -> None:
    async with EmbeddedNats(store_dir=tmp_path, credentials={"admin": "right"}) as server:
        url = server.url_for("admin").replace("right", "wr0ng")
        with pytest.raises(BusUnavailable, match="Authorization Violation") as caught:
            await BusConnection.connect(url, name="t", inbox_prefix="_INBOX_t", connect_timeout_s=20)
    assert "wr0ng" not in str(caught.value)


async def test_closing_twice_is_fine_and_sets_closed(bus: BusConnection) -> None:
    await asyncio.gather(bus.aclose(), bus.aclose())
    assert bus.closed.is_set()
    with pytest.raises(BusUnavailable):
        await bus.wait_connected()
    with pytest.raises(BusUnavailable):
        await bus.publish("inbox.gw.g1.s1", b"x")


async def test_closing_sends_what_was_published_before(bus: BusConnection, connect_bus: ConnectBus) -> None:
    reader = await connect_bus("reader")
    received = asyncio.Event()
    await reader.subscribe("inbox.gw.g1.>", lambda subject, data: received.set())
    await reader.flush()
    await bus.publish("inbox.gw.g1.s1", b"last words")
    await bus.aclose()
    async with asyncio.timeout(2):
        await received.wait()


async def test_closing_is_bounded_when_the_server_hangs(bus: BusConnection, nats_server: EmbeddedNats) -> None:
    _freeze(nats_server)
    try:
        async with asyncio.timeout(6):
            await bus.aclose()
    finally:
        os.kill(nats_server.pid, signal.SIGCONT)
    assert bus.closed.is_set()


async def test_closing_while_the_server_is_gone_is_quick_and_quiet(
    bus: BusConnection, nats_server: EmbeddedNats
) -> None:
    await _kill(nats_server, seen_by=bus)
    async with asyncio.timeout(3):
        await bus.aclose()
    assert bus.closed.is_set()


async def test_a_hung_server_makes_a_stored_publish_unavailable_in_its_time(
    bus: BusConnection, nats_server: EmbeddedNats
) -> None:
    _freeze(nats_server)
    try:
        with pytest.raises(BusUnavailable, match="no answer from JetStream within 0.2 s"):
            await bus.publish_stored("transcripts.t1.s1", b"x", msg_id="1", timeout_s=0.2)
    finally:
        os.kill(nats_server.pid, signal.SIGCONT)
    # What was sent arrives all the same; the id keeps its repetition from being stored twice.
    assert (await bus.publish_stored("transcripts.t1.s1", b"x", msg_id="1")).duplicate


async def test_a_cancelled_connect_leaves_nothing_running() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"nats://127.0.0.1:{silent.getsockname()[1]}"
        connecting = asyncio.create_task(BusConnection.connect(url, name="t", inbox_prefix="_INBOX_t"))
        accepted, _ = await asyncio.to_thread(silent.accept)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        accepted.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_watchdog_revives_a_client_whose_read_loop_died(
    connect_bus: ConnectBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_trip, "_PING_TIMEOUT_S", 0.1)
    connection = await connect_bus("zombie", watchdog_interval_s=0.05)
    back = asyncio.Event()

    async def on_back() -> None:
        back.set()

    connection.on_reconnect(on_back)
    reading = connection._client._reading_task
    assert reading is not None
    reading.cancel()
    async with asyncio.timeout(5):
        await back.wait()
    await connection.flush()


async def test_a_connection_that_the_server_ends_for_good_sets_closed(
    bus: BusConnection, caplog: pytest.LogCaptureFixture
) -> None:
    await bus._client._process_err("'User Authentication Expired'")
    async with asyncio.timeout(2):
        await bus.closed.wait()
    assert "connection to NATS closed for good" in caplog.messages


async def test_an_outage_is_logged_once_without_tracebacks(
    bus: BusConnection, nats_server: EmbeddedNats, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await _kill(nats_server, seen_by=bus)
    await nats_server.start()
    await bus.wait_connected()
    ours = [record for record in caplog.records if record.name.startswith(("bus.transport.connection", "nats"))]
    assert [record.message for record in ours] == ["connection to NATS lost", "connection to NATS is back"]
    assert not any(record.exc_info for record in ours)


def _freeze(server: EmbeddedNats) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, server.pid, os.WSTOPPED)  # all of its threads: the signal alone is only a wish


async def _kill(server: EmbeddedNats, *, seen_by: BusConnection) -> None:
    await server.kill()
    async with asyncio.timeout(10):
        await seen_by._events.disconnected.wait()


@asynccontextmanager
async def _server_that_hangs_up() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576}\r\n')
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
