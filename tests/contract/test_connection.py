"""Messages over one connection to a real nats-server: sent, heard, stored, refused."""

import asyncio

import pytest

from bus.contract.errors import InternalError, Overloaded
from bus.transport import connection_events
from bus.transport.assets import AssetLimits, ensure_assets
from bus.transport.connection import BusConnection
from bus.transport.jetstream_api import AssetMissing, WrongLastSequence
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


async def test_a_store_behind_a_message_that_is_not_the_newest_is_refused_and_may_be_repeated(
    bus: BusConnection,
) -> None:
    other = await bus.publish_stored("transcripts.t1.other", b"x", msg_id="other:1:final")
    first = await bus.publish_stored("transcripts.t1.s1", b"one", msg_id="s1:1:final", after_seq=0)
    for after_seq in (0, other.seq):
        with pytest.raises(WrongLastSequence):
            await bus.publish_stored("transcripts.t1.s1", b"two", msg_id="s1:2:final", after_seq=after_seq)
    second = await bus.publish_stored("transcripts.t1.s1", b"two", msg_id="s1:2:final", after_seq=first.seq)
    assert not second.duplicate, "what was refused may be stored under its id"


async def test_a_repeat_of_what_is_stored_is_refused_or_a_duplicate(bus: BusConnection) -> None:
    first = await bus.publish_stored("transcripts.t1.s1", b"one", msg_id="s1:1:final", after_seq=0)
    with pytest.raises(WrongLastSequence):
        await bus.publish_stored("transcripts.t1.s1", b"one", msg_id="s1:1:final", after_seq=0)
    again = await bus.publish_stored("transcripts.t1.s1", b"one", msg_id="s1:1:final", after_seq=first.seq)
    assert (again.seq, again.duplicate) == (first.seq, True)


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


async def test_after_memory_streams_vanished_ensure_makes_the_publish_work(bus: BusConnection) -> None:
    for stream in ("ASR_FINAL", "ASR_PARTIAL"):
        await bus.request_api(f"STREAM.DELETE.{stream}")
    with pytest.raises(AssetMissing):
        await bus.publish_stored("asr.final.std.t1.s1", b"x", msg_id="1")
    await asyncio.gather(bus.ensure(), bus.ensure())
    await bus.publish_stored("asr.final.std.t1.s1", b"x", msg_id="1")


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
