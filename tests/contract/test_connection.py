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

from bus.contract.errors import BusUnavailable, InternalError, Overloaded
from bus.transport import connection_events, round_trip
from bus.transport.assets import AssetLimits, ensure_assets
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from bus.transport.jetstream_api import AssetMissing
from tests.conftest import ConnectBus


async def test_messages_arrive_in_the_order_of_one_publisher(bus: BusConnection) -> None:
    received: list[bytes] = []
    await bus.subscribe("inbox.gw.g1.>", lambda subject, data: received.append(data))
    for number in range(500):
        await bus.publish("inbox.gw.g1.s1", b"%d" % number)
    await bus.flush()
    assert received == [b"%d" % number for number in range(500)]


async def test_flush_waits_for_everything_published_before_it(bus: BusConnection, connect_bus: ConnectBus) -> None:
    reader = await connect_bus("reader")
    received: list[int] = []
    await reader.subscribe("inbox.gw.g1.>", lambda subject, data: received.append(len(data)))
    await reader.flush()
    for _ in range(200):
        await bus.publish("inbox.gw.g1.s1", bytes(60_000))
    await bus.flush()
    await reader.flush()
    assert len(received) == 200


async def test_a_cancelled_flush_leaves_the_connection_working(bus: BusConnection) -> None:
    for _ in range(20):
        flushing = asyncio.create_task(bus.flush())
        await asyncio.sleep(0)
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
    async with asyncio.timeout(2):
        await bus.flush()
        await bus.publish_stored("transcripts.t1.s1", b"x", msg_id="a")


async def test_a_handler_that_raises_does_not_end_its_subscription(
    bus: BusConnection, caplog: pytest.LogCaptureFixture
) -> None:
    received: list[bytes] = []

    def handle(subject: str, data: bytes) -> None:
        received.append(data)
        if data == b"bad":
            raise ValueError("cannot read it")

    await bus.subscribe("inbox.gw.g1.>", handle)
    await bus.publish("inbox.gw.g1.s1", b"bad")
    await bus.publish("inbox.gw.g1.s1", b"good")
    await bus.flush()
    assert received == [b"bad", b"good"]
    assert "message handler failed" in caplog.messages


async def test_an_unsubscribed_handler_hears_nothing_more(bus: BusConnection) -> None:
    received: list[bytes] = []
    subscription = await bus.subscribe("inbox.gw.g1.>", lambda subject, data: received.append(data))
    await subscription.unsubscribe()
    await subscription.unsubscribe()
    await bus.publish("inbox.gw.g1.s1", b"late")
    await bus.flush()
    assert received == []


async def test_a_withdrawn_subscription_has_handled_all_that_was_sent_to_it(
    bus: BusConnection, connect_bus: ConnectBus
) -> None:
    publisher = await connect_bus("publisher")
    received: list[bytes] = []
    subscription = await bus.subscribe("inbox.gw.g1.>", lambda subject, data: received.append(data))
    await bus.flush()
    for _ in range(300):
        await publisher.publish("inbox.gw.g1.s1", bytes(1000))
    await publisher.flush()
    await subscription.withdraw()
    assert len(received) == 300


async def test_storing_twice_under_one_id_stores_once(bus: BusConnection) -> None:
    first = await bus.publish_stored("transcripts.t1.s1", b"text", msg_id="s1:1:final")
    second = await bus.publish_stored("transcripts.t1.s1", b"text", msg_id="s1:1:final")
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.seq == second.seq


async def test_a_stored_record_is_heard_live(bus: BusConnection) -> None:
    heard: list[tuple[str, bytes]] = []
    await bus.subscribe("live.t1.>", lambda subject, data: heard.append((subject, data)))
    await bus.publish_stored("transcripts.t1.s1", b"text", msg_id="s1:1:final")
    await bus.flush()
    assert heard == [("live.t1.s1", b"text")]


async def test_a_full_stream_is_overloaded(bus: BusConnection) -> None:
    await ensure_assets(bus, limits=AssetLimits(finals_max_messages=2))
    for number in range(2):
        await bus.publish_stored("asr.final.std.t1.s1", b"x", msg_id=str(number))
    with pytest.raises(Overloaded, match="10077"):
        await bus.publish_stored("asr.final.std.t1.s1", b"x", msg_id="2")


async def test_storing_where_no_stream_listens_is_a_missing_asset(bus: BusConnection) -> None:
    with pytest.raises(AssetMissing):
        await bus.publish_stored("nowhere.t1.s1", b"x", msg_id="1")


async def test_an_oversize_message_is_refused_before_the_broker_cuts_the_connection(bus: BusConnection) -> None:
    with pytest.raises(InternalError, match="over the broker's"):
        await bus.publish("inbox.gw.g1.s1", bytes(1024 * 1024))
    with pytest.raises(InternalError):
        await bus.publish_stored("transcripts.t1.s1", bytes(1024 * 1024), msg_id="1")
    await bus.flush()


async def test_the_longest_window_fits(bus: BusConnection) -> None:
    await bus.publish_stored("asr.final.std.t1.s1", bytes(29 * 32_000 + 8_000), msg_id="1")


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


async def test_after_memory_streams_vanished_ensure_makes_the_publish_work(
    bus: BusConnection, nats_server: EmbeddedNats
) -> None:
    for stream in ("ASR_FINAL", "ASR_PARTIAL"):
        await bus.request_api(f"STREAM.DELETE.{stream}")
    with pytest.raises(AssetMissing):
        await bus.publish_stored("asr.final.std.t1.s1", b"x", msg_id="1")
    await asyncio.gather(bus.ensure(), bus.ensure())
    await bus.publish_stored("asr.final.std.t1.s1", b"x", msg_id="1")


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


async def test_messages_over_the_pending_limit_are_dropped_and_counted(bus: BusConnection) -> None:
    dropped = connection_events.DROPPED.labels("inbox.gw.*")
    before = dropped._value.get()
    received: list[bytes] = []
    await bus.subscribe("inbox.gw.g1.>", lambda subject, data: received.append(data), pending_bytes_limit=3_000)
    for _ in range(100):
        await bus.publish("inbox.gw.g1.s1", bytes(1_000))
    await bus.flush()
    assert len(received) < 100
    assert dropped._value.get() - before == 100 - len(received)


async def test_publishing_in_a_tight_loop_lets_others_run(bus: BusConnection) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    for _ in range(50):
        await bus.publish("inbox.gw.g1.s1", bytes(300_000))
    counting.cancel()
    assert turns > 10


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
