"""How a session comes to be on a socket: as a new one, or as one that had another socket before, here or elsewhere."""

import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from bus.contract import subjects
from bus.contract.client_protocol import ChatOptions, ResumeGrant, SessionResume, SessionStart
from bus.contract.errors import BusUnavailable, HarkenError, NoWorker, UnknownModel
from bus.contract.session_record import SessionRecord, Takeover, encode_session
from bus.control.roster import Route
from stream_gateway.audio.formats import check_audio
from stream_gateway.chat.resumption import resume_chat
from stream_gateway.services import Services, session_config
from stream_gateway.session.config import SessionConfig, check_start
from stream_gateway.session.fence import Fence
from stream_gateway.session.resumption import Resumption, check_resume, digest, plan_resumption
from stream_gateway.session_ledger import FencedSubject, SessionLedger
from stream_gateway.takeover import find_session, take_over

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a session begins with on this socket."""

    start: SessionStart
    """As the client sent it, once."""
    config: SessionConfig
    ledger: SessionLedger
    pool: str | None
    """None without audio."""
    epoch: int = 0
    resumption: Resumption | None = None
    """None for a new one."""


class Opener:
    """Of one socket. `on_taken` is called once somebody else has the session."""

    def __init__(
        self, services: Services, *, tenant: str, now: Callable[[], float], on_taken: Callable[[], None]
    ) -> None:
        self._services = services
        self._tenant = tenant
        self._now = now
        self._on_taken = on_taken

    async def start(
        self, start: SessionStart, *, session: str, can_resume: bool, may_never_speak: bool = False
    ) -> Opening:
        """A new session. Raises a HarkenError that says why there is none.

        One that `may_never_speak` is a chat alone where nobody transcribes.
        """
        check_start(start)
        try:
            route = self._route(start, start.chat)
        except NoWorker:
            if start.chat is None or not may_never_speak:
                raise
            start, route = msgspec.structs.replace(start, audio=None), None
        if route is not None:
            self._services.check_pool(route.pool)
        grant = await self._grant(start, session) if can_resume and _is_resumable(start) else None
        config = self._config(start, session, route)
        return Opening(
            start=start,
            config=replace(config, resume=grant.resume) if grant is not None else config,
            ledger=self._ledger(session, records=Fence(0), granted=grant),
            pool=route.pool if route is not None else None,
        )

    async def resume(self, resume: SessionResume, *, claim: Callable[[Takeover], None]) -> Opening:
        """A session that goes on. Raises a HarkenError: retryable, if another try may succeed.

        `claim` is called once it is sure that it goes on here.
        """
        check_resume(resume)
        bus, session = self._services.bus, resume.session
        found = await find_session(bus, tenant=self._tenant, session=session, token=resume.token)
        # What may be refused is, before anybody is told to let go.
        start = found.record.start
        try:
            route = self._route(start, found.record.chat or start.chat)
        except UnknownModel:
            raise NoWorker("no live worker serves the model of this session; try again later") from None

        async def tell_owner(gateway: str, takeover: Takeover) -> None:
            claim(takeover)
            if gateway != self._services.gateway:
                await bus.publish(subjects.takeover(gateway), encode_session(takeover))

        taken = await take_over(bus, found, token=resume.token, gateway=self._services.gateway, tell_owner=tell_owner)
        within_s = max(0.0, taken.record.expires_at - time.time())
        granted = _Granted(taken.record, ResumeGrant(token=resume.token, within_s=within_s), taken.key_seq)
        config = replace(self._config(start, session, route), resume=granted.resume)
        chat = None
        if start.chat is not None:
            chat = resume_chat(taken.record, taken.records, resume.answer, taken.record.epoch, resume.segments)
        resumption = plan_resumption(
            resume,
            taken.records,
            chat=chat,
            epoch=taken.record.epoch,
            channels=config.channels,
            rate_hz=start.audio.sample_rate if start.audio is not None else 1,
        )
        log.info(
            "session resumed",
            extra={
                "session": session,
                "tenant": self._tenant,
                "epoch": taken.record.epoch,
                "records": len(taken.records),
                "missed": len(resumption.missed),
            },
        )
        return Opening(
            start=start,
            config=config,
            ledger=self._ledger(session, records=Fence(taken.records_seq, epoch=taken.record.epoch), granted=granted),
            pool=route.pool if route is not None else None,
            epoch=taken.record.epoch,
            resumption=resumption,
        )

    def _route(self, start: SessionStart, chat: ChatOptions | None) -> Route | None:
        if start.audio is not None:
            check_audio(start.audio)
        if not self._services.bus.is_connected:
            raise BusUnavailable("the gateway has no connection to the bus; try again later")
        if chat is not None:
            with suppress(NoWorker):  # told by the machine: one may come up before it is needed
                self._services.llm.pool_for(chat.model, self._now())
        return None if start.audio is None else self._services.route(start.model)

    def _config(self, start: SessionStart, session: str, route: Route | None) -> SessionConfig:
        return session_config(start, services=self._services, session=session, tenant=self._tenant, route=route)

    async def _grant(self, start: SessionStart, session: str) -> "_Granted | None":
        """Write the session's key; without it the session starts all the same."""
        within_s = self._services.limits.max_session_s
        token = secrets.token_urlsafe(32)
        record = SessionRecord(
            gateway=self._services.gateway,
            token_sha256=digest(token),
            expires_at=time.time() + within_s,
            start=start,
            chat=start.chat,
        )
        try:
            ack = await self._services.bus.publish_stored(
                subjects.session_record(self._tenant, session),
                encode_session(record),
                msg_id=f"{session}:0:key",
                after_seq=0,
            )
        except HarkenError as error:
            log.warning("session cannot be resumed", extra={"session": session, "code": error.code})
            return None
        return _Granted(record, ResumeGrant(token=token, within_s=within_s), ack.seq)

    def _ledger(self, session: str, *, records: Fence, granted: "_Granted | None") -> SessionLedger:
        bus = self._services.bus
        key = None
        if granted is not None:
            subject = subjects.session_record(self._tenant, session)
            key = FencedSubject(
                bus,
                stream=subjects.STREAM_SESSIONS,
                subject=subject,
                fence=Fence(granted.key_seq, epoch=granted.record.epoch),
            )
        subject = subjects.transcripts(self._tenant, session)
        return SessionLedger(
            session=session,
            records=FencedSubject(bus, stream=subjects.STREAM_TRANSCRIPTS, subject=subject, fence=records),
            key=key,
            record=granted.record if granted is not None else None,
            on_taken=self._on_taken,
        )


@dataclass(frozen=True, slots=True)
class _Granted:
    """A key in the bucket, and what its client got for it."""

    record: SessionRecord
    resume: ResumeGrant
    key_seq: int


def _is_resumable(start: SessionStart) -> bool:
    """Bytes of a container are at no place that an offset could name."""
    return start.audio is None or start.audio.encoding != "container"
