"""One gateway process: its sessions, its inbox on the bus, its knowledge of who can decode."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from websockets.asyncio.server import ServerConnection

from bus.contract import subjects
from bus.contract.advisories import GivenUp, decode_given_up
from bus.contract.chat_work import decode_chat_reply
from bus.contract.client_protocol import Limits
from bus.contract.errors import BusUnavailable, HarkenError
from bus.contract.presence import decode_presence
from bus.contract.session_record import Takeover, decode_takeover
from bus.contract.work import decode_result, decode_taken
from bus.control.roster import Roster, Route
from bus.transport.connection import BusConnection
from bus.transport.delivery import DELIVER_AGAIN
from bus.transport.queues import QueueState, finals_queue
from stream_gateway.connection import Connection
from stream_gateway.dialects.base import Dialect
from stream_gateway.live_session import LiveSession
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.policy.admission import Admission
from stream_gateway.policy.cadence import PoolLag
from stream_gateway.policy.doorkeeper import Doorkeeper, PoolState
from stream_gateway.policy.hedging import Hedging
from stream_gateway.policy.pool import Pool
from stream_gateway.policy.pool_door import PoolDoor
from stream_gateway.policy.taken import TakenFinals
from stream_gateway.process_limits import resident_bytes
from stream_gateway.registry import Registry
from stream_gateway.services import Services
from stream_gateway.session.final_record import work_s

log = logging.getLogger(__name__)

_FOLLOW_EVERY_S = 1.0
"""How often the queues are read: far below any deadline that depends on it."""
_LOOK_EVERY_S = 0.25
"""How often the roster and the bus connection are looked at: half of what a client may wait for a notice."""
_PROBE_EVERY_S = 0.25
"""How often it is asked who of those that have finals is still connected: a dead one is noticed as much later."""


class Gateway:
    """Owns the sessions. Everything runs on one event loop."""

    def __init__(
        self,
        *,
        gateway: str,
        bus: BusConnection,
        metrics: GatewayMetrics,
        default_model: str | None,
        default_chat_model: str | None = None,
        doorkeeper: Doorkeeper,
        services: Callable[["Gateway"], Services],
    ) -> None:
        self.roster = Roster(default_model=default_model)
        self.llm = Roster(default_model=default_chat_model, kind="LLM")
        self._taken = TakenFinals()
        self._known_pools: set[str] = set()
        self._queues: dict[str, QueueState] = {}
        self._known_llm_pools: set[str] = set()
        self._pools: dict[str, Pool] = {}
        self.doorkeeper = doorkeeper
        self._gateway = gateway
        self._bus = bus
        self._metrics = metrics
        self._sessions = Registry()
        self._idle = asyncio.Event()
        self._idle.set()
        self._heard = asyncio.Event()
        self._bus_was_connected = True
        self._scored = (0.0, 0.0)
        self._loop = asyncio.get_running_loop()
        self._services = services(self)

    @property
    def sessions(self) -> int:
        """Open sockets, and sessions without one that owe finals to the record or wait for their client."""
        return len(self._sessions)

    def route(self, model: str | None) -> Route:
        """The pool that serves `model`; raises NoWorker or UnknownModel."""
        return self.roster.pool_for(model, self._loop.time())

    def pool(self, name: str) -> Pool:
        """What is known of a pool; one value per name for as long as the process lives."""
        if name not in self._pools:
            services = self._services
            self._pools[name] = Pool(
                lag=PoolLag(services.cadence), hedging=Hedging(services.hedging), door=PoolDoor(services.door)
            )
        return self._pools[name]

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
        if not self.roster.is_ready(self._loop.time()):
            reasons.append("no ASR worker is alive")
        return reasons

    async def start(self) -> None:
        """Listen on the bus. Once, after the bus is connected and its assets are ensured."""
        self._bus.on_reconnect(self._on_bus_back)
        await self._bus.subscribe(subjects.inbox_all(self._gateway), self._on_inbox)
        await self._bus.subscribe(subjects.taken_all(self._gateway), self._on_taken)
        await self._bus.subscribe(subjects.takeover(self._gateway), self._on_takeover)
        await self._bus.subscribe(subjects.PRESENCE_ASR_ALL, self._on_presence)
        await self._bus.subscribe(subjects.chat_inbox_all(self._gateway), self._on_chat_inbox)
        await self._bus.subscribe(subjects.PRESENCE_LLM_ALL, self._on_llm_presence)
        await self._bus.subscribe(subjects.ADVISORY_CHAT_MAX_DELIVERIES, self._on_chat_given_up)
        await self._bus.subscribe(subjects.ADVISORY_CHAT_TERMINATED, self._on_chat_given_up)
        await self._bus.subscribe(subjects.ADVISORY_MAX_DELIVERIES, self._on_given_up)
        await self._bus.subscribe(subjects.ADVISORY_TERMINATED, self._on_given_up)

    async def wait_for_worker(self, within_s: float) -> None:
        """Return once a worker was heard of, or after `within_s`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._heard.wait()

    async def watch(self) -> None:
        """Tell sessions when the bus or their workers go or come back. Runs until cancelled."""
        while True:
            due = self._loop.time() + _LOOK_EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)
            self._look_at_itself(self._loop.time() - due)
            for worker in self.look():
                await self._on_worker_gone(worker)

    def _look_at_itself(self, lag_s: float) -> None:
        process, memory_bytes, scorer = self.doorkeeper.process, resident_bytes(), self._services.scorer
        (waited_s, scored_s), self._scored = self._scored, (scorer.waited_s, scorer.scored_s)
        heard_s = scorer.scored_s - scored_s
        scoring_share = (scorer.waited_s - waited_s) / heard_s if heard_s else 0.0
        process.look(lag_s=lag_s, scoring_share=scoring_share, memory_bytes=memory_bytes, now=self._loop.time())
        self._metrics.on_process(process.lag_s, process.scoring_share, memory_bytes)

    def look(self) -> tuple[str, ...]:
        """One round of `watch`; returns the workers that fell silent."""
        now = self._loop.time()
        connected = self._bus.is_connected
        self._metrics.detached.set(len(self._sessions.detached()))
        self._metrics.bus_connected.set(connected)
        if self._bus_was_connected and not connected:
            self._bus_was_connected = False
            for live in self._sessions:
                live.on_bus(connected=False)
        if not connected:
            return ()  # heartbeats cannot arrive either: nothing is known about workers
        silent = self.roster.expire(now)
        self.llm.expire(now)
        self._known_llm_pools |= set(self.llm.pools(now))
        for pool in self._known_llm_pools:
            self._metrics.worker_slots.labels("llm", pool).set(self.llm.slots(pool, now))
        for live in self._sessions:
            if live.pool is not None:
                live.on_workers(alive=self.roster.slots(live.pool, now) > 0)
        self._known_pools |= set(self.roster.pools(now))
        for pool in self._known_pools:
            self._metrics.worker_slots.labels("asr", pool).set(self.roster.slots(pool, now))
            self.pool(pool).hedging.on_workers(self.roster.workers(pool, now))
        states = {pool: self._state_of(pool, now) for pool in sorted(self._known_pools)}
        self.doorkeeper.look({pool: state for pool, state in states.items() if state.slots}, now)
        self._metrics.on_pools(states)
        return silent

    def _state_of(self, pool: str, now: float) -> PoolState:
        return PoolState(self.pool(pool), self.roster.slots(pool, now), self.roster.final_load(pool, now))

    async def probe_workers(self) -> None:
        """Notice at once that a worker with finals of ours has lost its connection. Runs until cancelled.

        A worker that is killed is silent no sooner than any other; but the broker knows that nobody listens to it.
        """
        while True:
            await asyncio.sleep(_PROBE_EVERY_S)
            workers = self._taken.workers(self._loop.time())
            await asyncio.gather(*(self._probe(worker) for worker in workers))

    async def _probe(self, worker: str) -> None:
        with suppress(BusUnavailable):
            if not await self._bus.someone_listens(subjects.alive_asr(worker), within_s=_PROBE_EVERY_S):
                self.roster.forget(worker)
                await self._on_worker_gone(worker)

    async def _on_worker_gone(self, worker: str) -> None:
        """Hand back what it had, in its name, for others to take now."""
        lost = self._taken.on_gone(worker, self._loop.time())
        log.info("worker gone", extra={"worker": worker, "finals": len(lost)})
        for taken in lost:
            with suppress(BusUnavailable):  # then the lease runs out, a little later
                await self._bus.publish(taken.ack_subject, DELIVER_AGAIN)
                self._metrics.dropped.labels("final_delivery", "worker_gone").inc()
            if (live := self._sessions.named(taken.session)) is not None:
                live.on_noticed(taken, held=False)
        for live in self._sessions:
            live.on_worker_gone()

    async def follow_queues(self) -> None:
        """Tell sessions which of their finals a worker has. Runs until cancelled."""
        while True:
            await asyncio.sleep(_FOLLOW_EVERY_S)
            for pool in sorted(self._known_pools):
                await self._follow_queue(pool)

    async def _follow_queue(self, pool: str) -> None:
        try:
            queue = await finals_queue(self._bus, pool)
        except HarkenError:
            return  # the bus is away, or its assets are being restored: the next round will tell
        self._metrics.queue_depth.labels(pool).set(queue.waiting)
        lag = self.pool(pool).lag
        lag.on_queue(queue.waiting, queue.taken_upto_seq, self._loop.time())
        self._metrics.on_lag(pool, lag)
        before = self._queues.setdefault(pool, queue)
        self._queues[pool] = queue
        for live in self._sessions:
            if live.pool != pool:
                continue
            if not queue.continues(before):
                live.on_bus(connected=True)  # as if the broker had restarted: what waited in it is gone
            live.on_taken(queue.taken_upto_seq)

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
                self._taken.on_closed(connection.live.session_id)
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
        self._taken.clear()
        self._queues.clear()
        # Heartbeats were lost with the connection; workers get their time to be heard again.
        self.roster.renew(self._loop.time())
        self.llm.renew(self._loop.time())
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
            if result.kind == "final" and result.timings is not None and live.pool is not None:
                self.pool(live.pool).load.on_final(work_s(result))
            self._taken.on_result(result)
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

    def _on_taken(self, subject: str, data: bytes) -> None:
        try:
            address = subjects.parse_taken(subject)
            taken = decode_taken(data)
        except ValueError as error:
            log.warning("bad notice of a final taken", extra={"error": str(error)})
            return
        live = self._sessions.named(address.session)
        if live is not None and taken.session == address.session:
            self._taken.on_taken(taken, self._loop.time())
            live.on_noticed(taken, held=True)

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

    def _on_llm_presence(self, subject: str, data: bytes) -> None:
        try:
            self.llm.on_presence(decode_presence(data), self._loop.time())
        except ValueError as error:
            log.warning("bad heartbeat", extra={"error": str(error)})

    def _on_presence(self, subject: str, data: bytes) -> None:
        try:
            self.roster.on_presence(decode_presence(data), self._loop.time())
            self._heard.set()
        except ValueError as error:
            log.warning("bad heartbeat", extra={"error": str(error)})


def _given_up(data: bytes) -> GivenUp | None:
    try:
        return decode_given_up(data)
    except ValueError as error:
        log.warning("bad advisory", extra={"error": str(error)})
        return None
