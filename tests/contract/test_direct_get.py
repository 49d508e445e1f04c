"""Reading a subject's messages without a consumer, on a real server."""

import pytest

from bus.transport import direct_get
from bus.transport.connection import BusConnection
from bus.transport.direct_get import all_messages, newest_message
from bus.transport.jetstream_api import AssetMissing
from tests.conftest import ConnectBus

STREAM, SUBJECT = "TRANSCRIPTS", "transcripts.t1.s1"


async def store(bus: BusConnection, count: int) -> None:
    for number in range(count):
        await bus.publish_stored(SUBJECT, b"%d" % number, msg_id=f"s1:{number}:final")
        await bus.publish_stored("transcripts.t1.other", b"x", msg_id=f"other:{number}:final")


async def test_the_newest_message_of_a_subject_comes_with_its_number_and_id(bus: BusConnection) -> None:
    assert await newest_message(bus, STREAM, SUBJECT) is None
    await store(bus, 3)
    newest = await newest_message(bus, STREAM, SUBJECT)
    assert newest is not None
    assert (newest.seq, newest.msg_id, newest.data) == (5, "s1:2:final", b"2")


async def test_all_messages_of_a_subject_come_in_order_however_many_batches_they_are(
    bus: BusConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await all_messages(bus, STREAM, SUBJECT, max_bytes=2**20) == []
    await store(bus, 7)
    for batch in (3, 7, 256):
        monkeypatch.setattr(direct_get, "_BATCH", batch)
        messages = await all_messages(bus, STREAM, SUBJECT, max_bytes=2**20)
        assert [message.data for message in messages] == [b"%d" % number for number in range(7)]
        assert [message.seq for message in messages] == [1, 3, 5, 7, 9, 11, 13]


async def test_of_a_subject_with_too_much_no_more_is_read_than_shows_that(
    bus: BusConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(bus, 7)
    monkeypatch.setattr(direct_get, "_BATCH", 2)
    assert len(await all_messages(bus, STREAM, SUBJECT, max_bytes=3)) == 4


async def test_where_there_is_no_stream_an_asset_is_missing(connect_bus: ConnectBus) -> None:
    bare = await connect_bus("bare")
    with pytest.raises(AssetMissing):
        await newest_message(bare, STREAM, SUBJECT)
    with pytest.raises(AssetMissing):
        await all_messages(bare, STREAM, SUBJECT, max_bytes=2**20)
