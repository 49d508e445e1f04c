"""One session's side of the bus: its windows out, and which message of the broker is which of them."""

import logging
from contextlib import suppress
from typing import NamedTuple

from bus.contract import subjects
from bus.contract.client_protocol import SessionStart
from bus.contract.errors import BusUnavailable, DecodeFailed, HarkenError
from bus.contract.work import AsrCancel, AsrRequest, AsrResult, Failure, encode
from bus.transport.connection import BusConnection
from bus.transport.jetstream_api import StoredAck
from stream_gateway.session.effects import Cancel, Decode
from stream_gateway.session.in_broker import InBroker

log = logging.getLogger(__name__)


class Published(NamedTuple):
    """What became of a publish."""

    succeeded: bool
    """The broker has the window."""
    given_up: AsrResult | None
    """The answer to it, if the broker has given it up already."""


class SessionWork:
    """Created once a session is open. Every call may be repeated: ids make the second one harmless."""

    def __init__(
        self, bus: BusConnection, *, gateway: str, tenant: str, session: str, pool: str, start: SessionStart
    ) -> None:
        self.pool = pool
        self._bus = bus
        self._gateway = gateway
        self._tenant = tenant
        self._session = session
        self._start = start
        self._in_broker: InBroker[Decode] = InBroker()
        """Finals; a few at most for each segment that is not stored yet."""
        self._queued: set[int] = set()
        """Those of them that no worker is known to have."""

    def configure(self, start: SessionStart) -> None:
        """What windows from here on are decoded with."""
        self._start = start

    async def publish(self, decode: Decode, pcm: bytes) -> Published:
        """Hand a window to the broker; tell whether it has it."""
        subject = subjects.asr_final if decode.kind == "final" else subjects.asr_partial
        msg_id = f"{self._session}:{decode.segment}:{decode.window}:{decode.attempt}"
        data = encode(self._request(decode, pcm))
        known = decode if decode.kind == "final" else None
        ack, deliveries = None, None
        self._in_broker.on_publishing()
        try:
            ack = await self._put(subject(self.pool, self._tenant, self._session), data, msg_id)
        finally:
            deliveries = self._in_broker.on_published(ack.seq if ack is not None else None, known)
        if ack is not None and ack.seq in self._in_broker:
            self._queued.add(ack.seq)
        return Published(ack is not None, None if deliveries is None else self._unanswered(decode, deliveries))

    async def cancel(self, cancel: Cancel) -> None:
        """Tell the pool's workers that nobody waits for a final. They may not hear it: then it is decoded in vain."""
        message = AsrCancel(session=self._session, segment=cancel.segment, window=cancel.window)
        with suppress(BusUnavailable):
            await self._bus.publish(subjects.cancel_asr(self.pool), encode(message))

    def on_stored(self, segment: int) -> None:
        """The record of a segment is stored: whatever the broker still has of it does not matter."""
        self._in_broker.keep(lambda decode: decode.segment != segment)
        self._queued = {seq for seq in self._queued if seq in self._in_broker}

    def taken(self, upto_seq: int) -> list[Decode]:
        """The windows that the broker handed to a worker since the last call, if it has handed out all `upto_seq`."""
        news = {seq for seq in self._queued if seq <= upto_seq}
        self._queued -= news
        return [self._in_broker[seq] for seq in sorted(news)]

    def done(self, upto_seq: int) -> list[Decode]:
        """The windows of which a worker has told the broker that it is done, if it has of all up to `upto_seq`.

        Each is told once, also if its answer has come; those whose segment is stored are not told.
        """
        done = self._in_broker.take_upto(upto_seq)
        self._queued = {seq for seq in self._queued if seq in self._in_broker}
        return done

    def given_up(self, stream_seq: int, deliveries: int) -> AsrResult | None:
        """The answer to a window that the broker will not deliver again, if it is one of this session's."""
        decode = self._in_broker.on_given_up(stream_seq, deliveries)
        self._queued.discard(stream_seq)
        return None if decode is None else self._unanswered(decode, deliveries)

    def on_bus_lost(self) -> None:
        """The broker may restart."""
        self._in_broker.clear()
        self._queued.clear()

    def _unanswered(self, decode: Decode, deliveries: int) -> AsrResult:
        return AsrResult(
            session=self._session,
            segment=decode.segment,
            window=decode.window,
            kind=decode.kind,
            failure=Failure(DecodeFailed.code, f"{deliveries} workers took it and none answered"),
        )

    def _request(self, decode: Decode, pcm: bytes) -> AsrRequest:
        return AsrRequest(
            tenant=self._tenant,
            session=self._session,
            gateway=self._gateway,
            segment=decode.segment,
            window=decode.window,
            kind=decode.kind,
            start_sample=decode.start_sample,
            pcm=pcm,
            language=decode.language,
            task=self._start.task,
            prompt=self._start.prompt,
            hotwords=" ".join(self._start.hotwords),
            word_times=decode.word_times,
            prior_samples=decode.prior_samples,
            prior_text=decode.prior_text,
            draft=decode.draft,
            draft_end_sample=decode.draft_end_sample,
            hurried=decode.hurried,
        )

    async def _put(self, subject: str, data: bytes, msg_id: str) -> StoredAck | None:
        try:
            return await self._bus.publish_stored(subject, data, msg_id=msg_id)
        except HarkenError as error:
            log.warning("publish failed", extra={"session": self._session, "code": error.code})
            return None
