"""One session's side of the bus: its windows out, and which message of the broker is which of them."""

import logging
from contextlib import suppress

from bus.contract import subjects
from bus.contract.client_protocol import SessionStart
from bus.contract.errors import BusUnavailable, DecodeFailed, HarkenError
from bus.contract.work import AsrCancel, AsrRequest, AsrResult, Failure, encode
from bus.transport.connection import BusConnection
from bus.transport.jetstream_api import StoredAck
from stream_gateway.session.effects import Cancel, Decode

log = logging.getLogger(__name__)

_MAX_EARLY = 64
"""Windows of all sessions that may be given up in the moment in which one of this session's is published."""


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
        self._in_broker: dict[int, Decode] = {}
        """Finals by their number in the work stream; a few at most for each segment that is not stored yet."""
        self._queued: set[int] = set()
        """Those of them that no worker is known to have."""
        self._publishing = 0
        self._given_up_early: dict[int, int] = {}
        """Numbers given up before it was read that they are ours, and after how many deliveries."""

    async def publish(self, decode: Decode, pcm: bytes) -> bool:
        """Hand a window to the broker; tell whether it has it."""
        subject = subjects.asr_final if decode.kind == "final" else subjects.asr_partial
        msg_id = f"{self._session}:{decode.segment}:{decode.window}:{decode.attempt}"
        data = encode(self._request(decode, pcm))
        self._publishing += 1
        try:
            ack = await self._put(subject(self.pool, self._tenant, self._session), data, msg_id)
        finally:
            self._publishing -= 1
        if ack is not None and decode.kind == "final":
            self._in_broker[ack.seq] = decode
            self._queued.add(ack.seq)
        return ack is not None

    async def cancel(self, cancel: Cancel) -> None:
        """Tell the pool's workers that nobody waits for a final. They may not hear it: then it is decoded in vain."""
        message = AsrCancel(session=self._session, segment=cancel.segment, window=cancel.window)
        with suppress(BusUnavailable):
            await self._bus.publish(subjects.cancel_asr(self.pool), encode(message))

    def on_stored(self, segment: int) -> None:
        """The record of a segment is stored: whatever the broker still has of it does not matter."""
        self._in_broker = {seq: one for seq, one in self._in_broker.items() if one.segment != segment}
        self._queued &= self._in_broker.keys()

    def taken(self, upto_seq: int) -> list[Decode]:
        """The windows that the broker handed to a worker since the last call, if it has handed out all `upto_seq`."""
        news = {seq for seq in self._queued if seq <= upto_seq}
        self._queued -= news
        return [self._in_broker[seq] for seq in sorted(news)]

    def given_up(self, stream_seq: int, deliveries: int) -> AsrResult | None:
        """The answer to a window that the broker will not deliver again, if it is one of this session's."""
        decode = self._in_broker.pop(stream_seq, None)
        self._queued.discard(stream_seq)
        if decode is None:
            if self._publishing and len(self._given_up_early) < _MAX_EARLY:
                self._given_up_early[stream_seq] = deliveries
            return None
        return AsrResult(
            session=self._session,
            segment=decode.segment,
            window=decode.window,
            kind=decode.kind,
            failure=Failure(DecodeFailed.code, f"{deliveries} workers took it and none answered"),
        )

    def given_up_early(self) -> list[AsrResult]:
        """The same for windows that were given up while `publish` was under way; ask when that has returned."""
        known = self._given_up_early.keys() & self._in_broker.keys()
        results = [self.given_up(seq, self._given_up_early.pop(seq)) for seq in sorted(known)]
        if not self._publishing:
            self._given_up_early.clear()
        return [result for result in results if result is not None]

    def on_bus_lost(self) -> None:
        """A broker that restarts counts from 1 again: the numbers known so far mean nothing to it."""
        self._in_broker.clear()
        self._queued.clear()

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
