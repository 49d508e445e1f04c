"""The steps on the bus by which a gateway takes a session over, in their order. Each may be repeated from the first.

The key tells whose the session is, and is won by whoever replaces its newest revision. From the record that says so on,
nothing of the gateway before is stored; so what the stream holds up to it is all that happened.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from bus.contract import subjects
from bus.contract.errors import BusUnavailable, CannotResume, SessionTaken
from bus.contract.identifiers import is_identifier
from bus.contract.records import Record, SessionResumed, decode_record, encode_record, resumed_id
from bus.contract.session_record import SessionRecord, Takeover, decode_session_record, encode_session
from bus.transport.connection import BusConnection
from bus.transport.direct_get import all_messages, newest_message
from bus.transport.jetstream_api import WrongLastSequence
from stream_gateway.session.resumption import may_resume

log = logging.getLogger(__name__)

_TRIES = 5
_MAX_RECORD_BYTES = 64 * 1024 * 1024
"""Of the records of one session: four hours of two people who never stop are some 20 MB with word times."""
_DECODED_AT_ONCE = 64
TellOwner = Callable[[str, Takeover], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Found:
    """The key of a session, as it was read."""

    tenant: str
    session: str
    record: SessionRecord
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A session that is this gateway's."""

    record: SessionRecord
    key_seq: int
    records: list[Record]
    """All, in order."""
    records_seq: int
    """Of the newest."""


async def find_session(bus: BusConnection, *, tenant: str, session: str, token: str) -> Found:
    """Read the key of a session whose token this is.

    Raises CannotResume, which does not say why not, and BusUnavailable.
    """
    refusal = CannotResume("no such session, or its token is another or too old; start a new session")
    if not is_identifier(session):
        raise refusal
    newest = await newest_message(bus, subjects.STREAM_SESSIONS, subjects.session_record(tenant, session))
    if newest is None:
        raise refusal
    try:
        record = decode_session_record(newest.data)
    except ValueError as error:
        log.warning("bad session record", extra={"session": session, "error": str(error)})
        raise refusal from None
    if not may_resume(record, token, now_utc=time.time()):
        raise refusal
    return Found(tenant, session, record, newest.seq)


async def take_over(bus: BusConnection, found: Found, *, token: str, gateway: str, tell_owner: TellOwner) -> Taken:
    """Make the session this gateway's. Raises as `find_session`; then it may be nobody's until it is tried again.

    Raises SessionTaken if another gateway was faster.

    `tell_owner` is awaited once it is sure who must let go.
    """
    owner, record, key_seq = await _win(bus, found, token=token, gateway=gateway)
    await tell_owner(owner, Takeover(session=found.session, epoch=record.epoch))
    records_seq = await _mark(bus, found, record.epoch, key_seq)
    records = await _read(bus, found, records_seq)
    return Taken(record=record, key_seq=key_seq, records=records, records_seq=records_seq)


async def _win(bus: BusConnection, found: Found, *, token: str, gateway: str) -> tuple[str, SessionRecord, int]:
    """Replace the key; the gateway that had the session before, the new record and its revision."""
    for _ in range(_TRIES):
        record = msgspec.structs.replace(found.record, epoch=found.record.epoch + 1, gateway=gateway)
        subject = subjects.session_record(found.tenant, found.session)
        # Two sockets may try at the same time, also on one gateway: only one of them may win.
        msg_id = f"{found.session}:{record.epoch}:{secrets.token_hex(8)}:key"
        try:
            ack = await bus.publish_stored(
                subject, encode_session(record), msg_id=msg_id, after_seq=found.revision, epoch=record.epoch
            )
        except WrongLastSequence:
            found = await find_session(bus, tenant=found.tenant, session=found.session, token=token)
            continue
        return found.record.gateway, record, ack.seq
    raise BusUnavailable("the session changes hands too fast; try again")


async def _mark(bus: BusConnection, found: Found, epoch: int, key_seq: int) -> int:
    """Store that the session was taken over; its number in the stream.

    Whoever wins the key after this gateway must not lose the session to it: so the key is looked at after the newest
    record was read, behind which alone the mark is stored.
    """
    key = subjects.session_record(found.tenant, found.session)
    subject = subjects.transcripts(found.tenant, found.session)
    data = encode_record(SessionResumed(tenant=found.tenant, session=found.session, epoch=epoch))
    msg_id = resumed_id(found.session, epoch)
    for _ in range(_TRIES):
        newest = await newest_message(bus, subjects.STREAM_TRANSCRIPTS, subject)
        if newest is not None and newest.msg_id == msg_id:
            return newest.seq
        owned = await newest_message(bus, subjects.STREAM_SESSIONS, key)
        is_anothers = newest is not None and newest.epoch > epoch
        if is_anothers or owned is None or owned.seq != key_seq:
            raise SessionTaken("the session goes on on another socket")
        try:
            after_seq = newest.seq if newest is not None else 0
            return (await bus.publish_stored(subject, data, msg_id=msg_id, after_seq=after_seq, epoch=epoch)).seq
        except WrongLastSequence:
            continue  # the gateway before was faster; it knows by now
    raise BusUnavailable("the session's record changes too fast; try again")


async def _read(bus: BusConnection, found: Found, upto_seq: int) -> list[Record]:
    """All records up to this one. A replica that has not got it yet has not got all before it either."""
    subject = subjects.transcripts(found.tenant, found.session)
    for _ in range(_TRIES):
        messages = await all_messages(bus, subjects.STREAM_TRANSCRIPTS, subject, max_bytes=_MAX_RECORD_BYTES)
        if sum(len(message.data) for message in messages) > _MAX_RECORD_BYTES:
            raise CannotResume(f"the session has more than {_MAX_RECORD_BYTES >> 20} MiB of records; start a new one")
        if any(message.seq >= upto_seq for message in messages):
            break
    else:
        raise BusUnavailable("the session's record is not complete yet; try again")
    records: list[Record] = []
    for number, message in enumerate(messages):
        if not number % _DECODED_AT_ONCE:
            await asyncio.sleep(0)  # there may be many
        try:
            records.append(decode_record(message.data))
        except ValueError as error:  # of a newer version
            log.warning("bad record", extra={"session": found.session, "error": str(error)})
    return records
