"""One gateway process: its sessions, what the bus brings for them, and who may come in."""

import asyncio
import logging

from websockets.asyncio.server import ServerConnection

from bus.contract import subjects
from bus.contract.advisories import GivenUp, decode_given_up
from bus.contract.chat_work import decode_chat_reply
from bus.contract.client_protocol import Limits
from bus.contract.session_record import Takeover, decode_takeover
from bus.contract.work import decode_result
from bus.transport.connection import BusConnection
from stream_gateway.connection import Connection
from stream_gateway.dialects.base import Dialect
from stream_gateway.live_session import LiveSession
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.policy.admission import Admission
from stream_gateway.policy.doorkeeper import Doorkeeper
from stream_gateway.process_limits import resident_bytes
from stream_gateway.registry import Registry
from stream_gateway.services import Services
from stream_gateway.workforce import Workforce

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.25
"""How often the roster and the bus connection are looked at: half of what a client may wait for a notice."""


class Gateway:
    """Owns the sessions. Everything runs on one event loop."""

    def __init__(
        self,
        *,
        gateway: str,
        bus: BusConnection,
        metrics: GatewayMetrics,
        sessions: Registry,
        workforce: Workforce,
        doorkeeper: Doorkeeper,
        services: Services,
    ) -> None:
        self.doorkeeper = doorkeeper
        self._gateway = gateway
        self._bus = bus
        self._metrics = metrics
        self._sessions = sessions
        self._workforce = workforce
        self._services = services
        self._idle = asyncio.Event()
        self._idle.set()
        self._bus_was_connected = True
        self._loop = asyncio.get_running_loop()

    @property
    def sessions(self) -> int:
        """Open sockets, and sessions without one that owe finals to the record or wait for their client."""
        return len(self._sessions)

    def admission(self, tenant: str, *, resuming: bool = False) -> Admission:
        """Whether one more socket of `tenant` may be upgraded now; `resuming`: to go on with a session."""
        away = len(self._sessions.detached())  # these make room for others
        return self.doorkeeper.admission(tenant, self._loop.time(), resuming=resuming, away=away)

    def not_ready_because(self) -> list[str]:
        """Why this process should get no new sessions; empty if it should."""
        reasons = []
        if (reason := self.doorkeeper.wants_no_more_because(away=len(self._sessions.detached()))) is not None:
            reasons.append(reason)
        if not self._bus.is_connected:
            reasons.append("no connection to NATS")
        if not self._workforce.can_decode:
            reasons.append("no ASR worker is alive")
        return reasons

    async def start(self) -> None:
        """Listen on the bus. Once, after the bus is connected and its assets are ensured."""
        self._bus.on_reconnect(self._on_bus_back)
        await self._bus.subscribe(subjects.inbox_all(self._gateway), self._on_inbox)
        await self._bus.subscribe(subjects.takeover(self._gateway), self._on_takeover)
        await self._bus.subscribe(subjects.chat_inbox_all(self._gateway), self._on_chat_inbox)
        await self._bus.subscribe(subjects.ADVISORY_CHAT_MAX_DELIVERIES, self._on_chat_given_up)
        await self._bus.subscribe(subjects.ADVISORY_CHAT_TERMINATED, self._on_chat_given_up)
        await self._bus.subscribe(subjects.ADVISORY_MAX_DELIVERIES, self._on_given_up)
        await self._bus.subscribe(subjects.ADVISORY_TERMINATED, self._on_given_up)
        await self._workforce.start()

    async def watch(self) -> None:
        """Tell sessions when the bus or their workers go or come back. Runs until cancelled."""
        while True:
            due = self._loop.time() + _LOOK_EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)
            self._look_at_itself(self._loop.time() - due)
            self._look_at_bus()
            if self._bus.is_connected:  # else heartbeats cannot arrive either: nothing is known about workers
                self.doorkeeper.look(await self._workforce.look(), self._loop.time())

    def _look_at_itself(self, lag_s: float) -> None:
        process, memory_bytes, now = self.doorkeeper.process, resident_bytes(), self._loop.time()
        waited_s, scored_s = self._services.scorer.take_load()
        process.look(lag_s=lag_s, waited_s=waited_s, scored_s=scored_s, memory_bytes=memory_bytes, now=now)
        self._metrics.on_process(process.lag_s, process.scoring_share, memory_bytes)

    def _look_at_bus(self) -> None:
        connected = self._bus.is_connected
        self._metrics.detached.set(len(self._sessions.detached()))
        self._metrics.bus_connected.set(connected)
        if self._bus_was_connected and not connected:
            self._bus_was_connected = False
            for live in self._sessions:
                live.on_bus(connected=False)

    @property
    def limits(self) -> Limits:
        """What sessions are held to, as clients see it."""
        return self._services.announced_limits()

    async def serve(self, socket: ServerConnection, tenant: str, dialect: Dialect) -> None:
        """Serve one upgraded socket until it and everything it owes is done."""
        connection = Connection(socket, services=self._services, tenant=tenant, dialect=dialect, claim=self._on_claimed)
        self._sessions.add(connection.live)
        came_as = connection.live.session_id  # it may go on under another name
        self.doorkeeper.inside.on_opened(came_as, tenant, self._loop.time())
        outcome = "crashed"
        try:
            self._idle.clear()
            self._metrics.sessions.set(self.sessions)
            if self.sessions > self.doorkeeper.max_sessions and (detached := self._sessions.detached()):
                detached[0].on_displaced()
            await connection.run()
            outcome = "done"
        finally:
            self._sessions.remove(connection.live)
            self.doorkeeper.inside.on_closed(came_as)
            if self._sessions.named(connection.live.session_id) is None:  # else it goes on here on another socket
                self._workforce.on_closed(connection.live.session_id)
            self._metrics.sessions.set(self.sessions)
            self._metrics.sessions_total.labels(outcome).inc()
            if not self._sessions:
                self._idle.set()

    async def drain(self, within_s: float) -> None:
        """Tell every client to move, and wait until all are done; each ends by force after `within_s`."""
        self.doorkeeper.draining = True
        for live in self._sessions:
            live.on_drain(within_s)
        await self._idle.wait()

    async def _on_bus_back(self) -> None:
        self._bus_was_connected = True
        self._workforce.on_bus_back()
        for live in self._sessions:
            live.on_bus(connected=True)

    def _on_inbox(self, subject: str, data: bytes) -> None:
        try:
            address = subjects.parse_inbox(subject)
            result = decode_result(data)
            if result.session != address.session:
                raise ValueError("a result of one session in the inbox of another")
        except ValueError as error:
            log.warning("bad message in the inbox", extra={"error": str(error)})
            self._metrics.dropped.labels("result", "undecodable").inc()
            return
        live = self._sessions.named(address.session)
        if live is None:
            self._metrics.dropped.labels("result", "session_gone").inc()
        else:
            self._workforce.on_result(result, live.pool)
            live.on_result(result)

    def _on_claimed(self, live: LiveSession, takeover: Takeover) -> None:
        """A session goes on as `live`; if another one here was it, that lets go."""
        before = self._sessions.rename(live, takeover.session)
        live.epoch = takeover.epoch
        if before is not None:
            before.on_taken_over()

    def _on_takeover(self, subject: str, data: bytes) -> None:
        try:
            takeover = decode_takeover(data)
        except ValueError as error:
            log.warning("bad takeover", extra={"error": str(error)})
            return
        live = self._sessions.named(takeover.session)
        if live is not None and live.epoch < takeover.epoch:
            live.on_taken_over()

    def _on_given_up(self, subject: str, data: bytes) -> None:
        if (advisory := _given_up(data)) is not None:
            for live in self._sessions:
                live.on_given_up(advisory.stream_seq, advisory.deliveries)

    def _on_chat_inbox(self, subject: str, data: bytes) -> None:
        try:
            address = subjects.parse_chat_inbox(subject)
            reply = decode_chat_reply(data)
        except ValueError as error:
            log.warning("bad message in the chat inbox", extra={"error": str(error)})
            self._metrics.dropped.labels("reply", "undecodable").inc()
            return
        live = self._sessions.named(address.session)
        if live is None:
            self._metrics.dropped.labels("reply", "session_gone").inc()
        else:
            live.on_reply(reply)

    def _on_chat_given_up(self, subject: str, data: bytes) -> None:
        if (advisory := _given_up(data)) is not None:
            for live in self._sessions:
                live.on_chat_given_up(advisory.stream_seq)


def _given_up(data: bytes) -> GivenUp | None:
    try:
        return decode_given_up(data)
    except ValueError as error:
        log.warning("bad advisory", extra={"error": str(error)})
        return None
