"""What one session leaves on the bus for good: its records in TRANSCRIPTS, and its key in SESSIONS.

Both are written behind a fence: once another gateway has taken the session over, nothing of this one is stored.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from bus.contract.chat_work import ChatMessage
from bus.contract.client_protocol import ChatOptions
from bus.contract.errors import HarkenError, SessionTaken
from bus.contract.records import ChatTurn, Record, SegmentRecord, encode_record, record_id, turn_id
from bus.contract.session_record import SessionRecord, encode_session
from bus.transport.connection import BusConnection
from bus.transport.direct_get import newest_message
from bus.transport.jetstream_api import StoredMessage, WrongLastSequence
from stream_gateway.session.fence import Fence, Verdict

log = logging.getLogger(__name__)

_MAX_REFUSALS = 5
"""Of one store: more mean that a replica lags, or that somebody else writes without a fence."""
_NOTHING = StoredMessage(seq=0, msg_id="", epoch=0, data=b"")


class FencedSubject:
    """Stores on one subject, one at a time. Loop thread only."""

    def __init__(self, bus: BusConnection, *, stream: str, subject: str, fence: Fence) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._fence = fence
        self._lock = asyncio.Lock()
        self._is_closed = False

    def close(self) -> None:
        """Store nothing more; what is under way goes on, and is refused if it comes too late."""
        self._is_closed = True

    async def store(self, data: bytes, msg_id: str) -> None:
        """Store once, whatever was tried before under this id.

        Raises SessionTaken if somebody else has written here, or after `close`; any other HarkenError means that it is
        not known to be stored: try again under the same id.
        """
        async with self._lock:
            if self._is_closed:
                raise SessionTaken("the session goes on elsewhere")
            if self._fence.is_stored(msg_id):
                return
            for _ in range(_MAX_REFUSALS):
                if await self._try(data, msg_id):
                    return
        raise WrongLastSequence("the newest message is another one each time")

    async def _try(self, data: bytes, msg_id: str) -> bool:
        """Whether it is stored. If not, the fence stands behind another message now."""
        fence = self._fence
        try:
            ack = await self._bus.publish_stored(
                self._subject, data, msg_id=msg_id, after_seq=fence.after_seq, epoch=fence.epoch
            )
            if not ack.duplicate:
                fence.on_stored(ack.seq)
                return True
            verdict = fence.on_duplicate(await self._newest())
        except WrongLastSequence:
            verdict = fence.on_refused(msg_id, await self._newest())
        except BaseException:  # also where this task is cancelled: the broker may have it
            fence.on_doubt(msg_id)
            raise
        if verdict is Verdict.TAKEN:
            self._is_closed = True
            raise SessionTaken("the session goes on elsewhere")
        return verdict is Verdict.STORED

    async def _newest(self) -> StoredMessage:
        return await newest_message(self._bus, self._stream, self._subject) or _NOTHING


class SessionLedger:
    """One session's. Every store may be repeated: ids make the second one harmless."""

    def __init__(
        self,
        *,
        session: str,
        records: FencedSubject,
        key: FencedSubject | None = None,
        record: SessionRecord | None = None,
        on_taken: Callable[[], None] = lambda: None,
    ) -> None:
        """Without a key nothing is kept there. `record` is what the key holds; `on_taken` is called at most once."""
        self._session = session
        self._records = records
        self._key = key
        self._record = record
        self._on_taken = on_taken
        self._saves = 0
        self._is_taken = False

    @property
    def has_key(self) -> bool:
        """Whether the session can be taken up from its key."""
        return self._key is not None

    async def store(self, record: SegmentRecord) -> bool:
        """Store the record of a segment; tell whether it is durable."""
        return await self._store(record, record_id(self._session, record.segment))

    async def store_turn(self, turn: ChatTurn) -> bool:
        """Store a turn of the chat; tell whether it is durable."""
        return await self._store(turn, turn_id(self._session, turn.turn))

    async def save(self, *, chat: ChatOptions, messages: Sequence[ChatMessage], turns: int, answers: int) -> bool:
        """Put the conversation into the session's key, as it is after turn `turns`; tell whether it is there.

        One at a time: the newest must come last. In a session that cannot be resumed nothing is kept.
        """
        if self._key is None or self._record is None:
            return True
        record = msgspec.structs.replace(
            self._record, chat=chat, messages=tuple(messages), turns=turns, answers=answers
        )
        self._saves += 1
        msg_id = f"{self._session}:{record.epoch}:{self._saves}:key"
        return await self._put(self._key, encode_session(record), msg_id, "conversation not saved")

    def let_go(self) -> None:
        """The session is another's: nothing more is stored."""
        self._is_taken = True
        for one in (self._records, self._key):
            if one is not None:
                one.close()

    async def _store(self, record: Record, msg_id: str) -> bool:
        return await self._put(self._records, encode_record(record), msg_id, "record not stored")

    async def _put(self, where: FencedSubject, data: bytes, msg_id: str, failed: str) -> bool:
        try:
            await where.store(data, msg_id)
        except SessionTaken:
            self._tell_taken()
            return False
        except HarkenError as error:
            log.warning(failed, extra={"session": self._session, "code": error.code})
            return False
        return True

    def _tell_taken(self) -> None:
        if not self._is_taken:
            self.let_go()
            self._on_taken()
