"""One session, two gateways: what each still stores, on a real server."""

import asyncio
import time
from typing import Any

import pytest

from bus.contract import subjects
from bus.contract.chat_work import ChatMessage
from bus.contract.client_protocol import ChatOptions, SessionStart
from bus.contract.errors import BusUnavailable, CannotResume, SessionTaken
from bus.contract.records import ChatTurn, Record, SessionResumed, TranscriptFinal, encode_record
from bus.contract.session_record import SessionRecord, Takeover, decode_session_record, encode_session
from bus.transport.connection import BusConnection
from bus.transport.direct_get import all_messages, newest_message
from bus.transport.embedded import EmbeddedNats
from stream_gateway import takeover
from stream_gateway.session.fence import Fence
from stream_gateway.session.resumption import digest
from stream_gateway.session_ledger import FencedSubject, SessionLedger
from stream_gateway.takeover import Taken, find_session, take_over

KEY = subjects.session_record("t1", "s1")
RECORDS = subjects.transcripts("t1", "s1")


def a_final(segment: int) -> TranscriptFinal:
    return TranscriptFinal(tenant="t1", session="s1", segment=segment, start_s=0.0, end_s=1.0, text=f"text {segment}")


def a_turn(turn: int) -> ChatTurn:
    return ChatTurn(tenant="t1", session="s1", turn=turn, role="user", text="hi", source="typed")


async def a_key(bus: BusConnection, **fields: Any) -> tuple[SessionRecord, int]:
    record = SessionRecord(
        **{
            "gateway": "gA",
            "token_sha256": digest("token"),
            "expires_at": time.time() + 60,
            "start": SessionStart(),
            **fields,
        }
    )
    ack = await bus.publish_stored(KEY, encode_session(record), msg_id="s1:0:key", after_seq=0)
    return record, ack.seq


class Owner:
    """A gateway's side of the session."""

    def __init__(self, bus: BusConnection, record: SessionRecord, *, key_seq: int, records_seq: int = 0) -> None:
        self.is_taken = asyncio.Event()
        self.ledger = SessionLedger(
            session="s1",
            records=FencedSubject(
                bus, stream=subjects.STREAM_TRANSCRIPTS, subject=RECORDS, fence=Fence(records_seq, epoch=record.epoch)
            ),
            key=FencedSubject(
                bus, stream=subjects.STREAM_SESSIONS, subject=KEY, fence=Fence(key_seq, epoch=record.epoch)
            ),
            record=record,
            on_taken=self.is_taken.set,
        )

    async def save(self, turns: int) -> bool:
        return await self.ledger.save(chat=ChatOptions(), messages=[ChatMessage("user", "hi")], turns=turns, answers=0)


async def taken_over(bus: BusConnection, gateway: str = "gB", told: list[tuple[str, Takeover]] | None = None) -> Taken:
    async def tell(owner: str, word: Takeover) -> None:
        if told is not None:
            told.append((owner, word))

    found = await find_session(bus, tenant="t1", session="s1", token="token")
    return await take_over(bus, found, token="token", gateway=gateway, tell_owner=tell)


async def segments(bus: BusConnection) -> list[bytes]:
    return [message.data for message in await all_messages(bus, subjects.STREAM_TRANSCRIPTS, RECORDS, max_bytes=2**20)]


async def test_what_a_gateway_stored_is_what_the_next_one_reads_and_nothing_follows_of_the_first(
    bus: BusConnection,
) -> None:
    record, key_seq = await a_key(bus)
    first = Owner(bus, record, key_seq=key_seq)
    assert await first.ledger.store(a_final(1))
    assert await first.ledger.store_turn(a_turn(1))
    told: list[tuple[str, Takeover]] = []
    taken = await taken_over(bus, told=told)
    mark = SessionResumed(tenant="t1", session="s1", epoch=1)
    assert taken.records == [a_final(1), a_turn(1), mark]
    assert told == [("gA", Takeover(session="s1", epoch=1))]
    assert (taken.record.gateway, taken.record.epoch) == ("gB", 1)

    second = Owner(bus, taken.record, key_seq=taken.key_seq, records_seq=taken.records_seq)
    assert await second.ledger.store(a_final(2))
    assert not await first.ledger.store(a_final(2)), "the first did not hear of it, and its store is refused"
    assert first.is_taken.is_set()
    assert not await first.ledger.store(a_final(3))
    assert not second.is_taken.is_set()
    assert await segments(bus) == [encode_record(one) for one in (a_final(1), a_turn(1), mark, a_final(2))]


async def test_a_conversation_is_kept_by_its_owner_alone(bus: BusConnection) -> None:
    record, key_seq = await a_key(bus)
    first = Owner(bus, record, key_seq=key_seq)
    assert await first.save(1)
    taken = await taken_over(bus)
    assert (taken.record.turns, taken.record.messages) == (1, (ChatMessage("user", "hi"),))
    assert not await first.save(2)
    assert first.is_taken.is_set()
    second = Owner(bus, taken.record, key_seq=taken.key_seq, records_seq=taken.records_seq)
    assert await second.save(3)
    newest = await newest_message(bus, subjects.STREAM_SESSIONS, KEY)
    assert newest is not None
    kept = decode_session_record(newest.data)
    assert (kept.turns, kept.epoch, kept.gateway) == (3, 1, "gB")


async def test_who_is_told_to_let_go_stores_nothing_more(bus: BusConnection) -> None:
    record, key_seq = await a_key(bus)
    first = Owner(bus, record, key_seq=key_seq)
    first.ledger.let_go()
    assert not await first.ledger.store(a_final(1))
    assert not await first.save(1)
    assert await segments(bus) == []
    assert not first.is_taken.is_set(), "it knows"


async def test_stores_of_one_session_that_are_made_at_the_same_time_are_all_kept(bus: BusConnection) -> None:
    record, key_seq = await a_key(bus)
    first = Owner(bus, record, key_seq=key_seq)
    stored = await asyncio.gather(
        *(first.ledger.store(a_final(segment)) for segment in range(1, 6)),
        *(first.ledger.store_turn(a_turn(turn)) for turn in range(1, 6)),
    )
    assert all(stored)
    assert len(await segments(bus)) == 10


async def test_a_store_whose_answer_was_lost_is_made_once(bus: BusConnection) -> None:
    record, key_seq = await a_key(bus)
    first = Owner(bus, record, key_seq=key_seq)
    assert await first.ledger.store(a_final(1))
    storing = asyncio.create_task(first.ledger.store(a_final(2)))
    while len(await segments(bus)) < 2:  # the broker has it, and nobody waits for its word any more
        pass
    storing.cancel()
    await asyncio.gather(storing, return_exceptions=True)
    assert await first.ledger.store_turn(a_turn(1))
    assert await first.ledger.store(a_final(2))
    assert await segments(bus) == [encode_record(one) for one in (a_final(1), a_final(2), a_turn(1))]


async def test_what_is_told_as_a_duplicate_is_not_taken_for_ours(
    bus: BusConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A cluster may look at ids before it looks at what a store follows.
    record, key_seq = await a_key(bus)
    first = Owner(bus, record, key_seq=key_seq)
    assert await first.ledger.store(a_final(1))
    told = {"after_seq": None}
    publish_stored = bus.publish_stored

    async def as_a_cluster(subject: str, data: bytes, *, msg_id: str, **more: Any) -> Any:
        return await publish_stored(subject, data, msg_id=msg_id, **{**more, **told})

    monkeypatch.setattr(bus, "publish_stored", as_a_cluster)
    assert await first.ledger.store(a_final(1)), "a repeat of ours"
    monkeypatch.undo()
    taken = await taken_over(bus)
    second = Owner(bus, taken.record, key_seq=taken.key_seq, records_seq=taken.records_seq)
    assert await second.ledger.store(a_final(2))
    monkeypatch.setattr(bus, "publish_stored", as_a_cluster)
    assert not await first.ledger.store(a_final(2)), "another's of the same name"
    assert first.is_taken.is_set()


async def test_a_broker_that_lost_its_store_gets_what_follows(bus: BusConnection, nats_server: EmbeddedNats) -> None:
    record, key_seq = await a_key(bus)
    first = Owner(bus, record, key_seq=key_seq)
    assert await first.ledger.store(a_final(1))
    await bus.request_api(f"STREAM.PURGE.{subjects.STREAM_TRANSCRIPTS}")
    assert await first.ledger.store(a_final(2))
    assert await segments(bus) == [encode_record(a_final(2))]


@pytest.mark.parametrize(
    ("tenant", "session", "token"),
    [("t1", "s1", "wrong"), ("t2", "s1", "token"), ("t1", "s2", "token"), ("t1", "s.>", "token"), ("t1", "", "token")],
)
async def test_a_session_is_found_with_its_own_token_by_its_own_tenant_alone(
    bus: BusConnection, tenant: str, session: str, token: str
) -> None:
    await a_key(bus)
    with pytest.raises(CannotResume):
        await find_session(bus, tenant=tenant, session=session, token=token)


async def test_a_token_expires(bus: BusConnection) -> None:
    await a_key(bus, expires_at=time.time() - 1)
    with pytest.raises(CannotResume):
        await find_session(bus, tenant="t1", session="s1", token="token")


async def test_a_key_that_cannot_be_read_is_no_session(bus: BusConnection) -> None:
    await bus.publish_stored(KEY, b'{"version": 1, "messages": []}', msg_id="old")
    with pytest.raises(CannotResume):
        await find_session(bus, tenant="t1", session="s1", token="token")


async def test_of_many_who_take_a_session_over_at_the_same_time_the_last_one_has_it(bus: BusConnection) -> None:
    record, key_seq = await a_key(bus)
    first = Owner(bus, record, key_seq=key_seq)
    await first.ledger.store(a_final(1))
    outcomes = await asyncio.gather(*(taken_over(bus, f"g{number}") for number in range(4)), return_exceptions=True)
    assert all(isinstance(one, Taken | SessionTaken | BusUnavailable) for one in outcomes), outcomes
    won = sorted((one for one in outcomes if isinstance(one, Taken)), key=lambda one: one.record.epoch)
    newest = await newest_message(bus, subjects.STREAM_SESSIONS, KEY)
    assert newest is not None
    assert won[-1].record == decode_session_record(newest.data)
    owners = [Owner(bus, one.record, key_seq=one.key_seq, records_seq=one.records_seq) for one in won]
    assert [await owner.ledger.store(a_final(2)) for owner in owners] == [False] * (len(owners) - 1) + [True]


async def test_a_record_of_a_newer_version_is_passed_over(bus: BusConnection) -> None:
    await a_key(bus)
    await bus.publish_stored(RECORDS, b'{"type": "of.tomorrow"}', msg_id="x")
    records: list[Record] = (await taken_over(bus)).records
    assert [type(one) for one in records] == [SessionResumed]


async def test_a_replica_that_has_not_all_records_is_asked_again(
    bus: BusConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, key_seq = await a_key(bus)
    await Owner(bus, record, key_seq=key_seq).ledger.store(a_final(1))
    reads = iter([0, 1])

    async def lagging(*where: Any, **limit: Any) -> Any:
        messages = await all_messages(*where, **limit)
        return messages[: next(reads, len(messages))]

    monkeypatch.setattr(takeover, "all_messages", lagging)
    assert len((await taken_over(bus)).records) == 2


async def test_a_session_with_more_records_than_a_gateway_reads_at_once_cannot_be_resumed(
    bus: BusConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, key_seq = await a_key(bus)
    await Owner(bus, record, key_seq=key_seq).ledger.store(a_final(1))
    monkeypatch.setattr(takeover, "_MAX_RECORD_BYTES", 10)
    with pytest.raises(CannotResume, match="records"):
        await taken_over(bus)
