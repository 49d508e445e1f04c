"""The workers, as one gateway sees them: what it hears of them, measures of their pools, and does where one is gone."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from bus.contract import subjects
from bus.contract.errors import BusUnavailable, HarkenError
from bus.contract.presence import decode_presence
from bus.contract.work import AsrResult, decode_taken
from bus.control.roster import Roster, Route
from bus.transport.connection import BusConnection
from bus.transport.delivery import DELIVER_AGAIN
from bus.transport.queues import QueueState, finals_queue
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.policy.cadence import CadenceOptions, PoolLag
from stream_gateway.policy.doorkeeper import PoolState
from stream_gateway.policy.haste import Haste, HasteOptions
from stream_gateway.policy.hedging import HedgeOptions, Hedging
from stream_gateway.policy.pool import Pool
from stream_gateway.policy.pool_door import DoorOptions, PoolDoor
from stream_gateway.policy.taken import TakenFinals
from stream_gateway.registry import Registry
from stream_gateway.session.final_record import work_s

log = logging.getLogger(__name__)

_FOLLOW_EVERY_S = 1.0
"""How often the queues are read: far below any deadline that depends on it."""
_PROBE_EVERY_S = 0.25
"""How often it is asked who of those that have finals is still connected: a dead one is noticed as much later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """How a pool of ASR workers is treated."""

    cadence: CadenceOptions
    hedging: HedgeOptions
    haste: HasteOptions
    door: DoorOptions


class Workforce:
    """Tells `sessions` what concerns them. Everything runs on one event loop."""

    def __init__(
        self,
        *,
        gateway: str,
        bus: BusConnection,
        metrics: GatewayMetrics,
        sessions: Registry,
        options: PoolOptions,
        default_model: str | None,
        default_chat_model: str | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self.asr = Roster(default_model=default_model, listens_since=now)
        self.llm = Roster(default_model=default_chat_model, kind="LLM", listens_since=now)
        self._gateway = gateway
        self._bus = bus
        self._metrics = metrics
        self._sessions = sessions
        self._options = options
        self._pools: dict[str, Pool] = {}
        self._known_pools: set[str] = set()
        self._known_llm_pools: set[str] = set()
        self._queues: dict[str, QueueState] = {}
        self._taken = TakenFinals()
        self._heard = asyncio.Event()

    @property
    def can_decode(self) -> bool:
        """Whether an ASR worker is alive."""
        return self.asr.is_ready(self._loop.time())

    def route(self, model: str | None) -> Route:
        """The pool that serves `model`; raises NoWorker or UnknownModel."""
        return self.asr.pool_for(model, self._loop.time())

    def pool(self, name: str) -> Pool:
        """What is known of a pool; one value per name for as long as the process lives."""
        if name not in self._pools:
            options = self._options
            self._pools[name] = Pool(
                lag=PoolLag(options.cadence),
                hedging=Hedging(options.hedging),
                haste=Haste(options.haste),
                door=PoolDoor(options.door),
            )
        return self._pools[name]

    async def start(self) -> None:
        """Listen to workers. Once, after the bus is connected and its assets are ensured."""
        await self._bus.subscribe(subjects.taken_all(self._gateway), self._on_taken)
        await self._bus.subscribe(subjects.PRESENCE_ASR_ALL, self._on_presence)
        await self._bus.subscribe(subjects.PRESENCE_LLM_ALL, self._on_llm_presence)

    async def wait_for_worker(self, within_s: float) -> None:
        """Return once a worker was heard of, or after `within_s`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._heard.wait()

    async def look(self) -> dict[str, PoolState]:
        """Notice who fell silent and tell sessions who is there; to be called often while the bus is connected.

        Returns the pools that have workers.
        """
        now = self._loop.time()
        silent = self.asr.expire(now)
        self.llm.expire(now)
        self._known_llm_pools |= set(self.llm.pools(now))
        for pool in self._known_llm_pools:
            self._metrics.worker_slots.labels("llm", pool).set(self.llm.slots(pool, now))
        for live in self._sessions:
            if live.pool is not None:
                live.on_workers(alive=self.asr.slots(live.pool, now) > 0)
        self._known_pools |= set(self.asr.pools(now))
        for pool in self._known_pools:
            self._metrics.worker_slots.labels("asr", pool).set(self.asr.slots(pool, now))
            self.pool(pool).hedging.on_workers(self.asr.workers(pool, now))
        states = {pool: self._state_of(pool, now) for pool in sorted(self._known_pools)}
        self._metrics.on_pools(states)
        for worker in silent:
            await self._on_gone(worker)
        return {pool: state for pool, state in states.items() if state.slots}

    def _state_of(self, pool: str, now: float) -> PoolState:
        return PoolState(self.pool(pool), self.asr.slots(pool, now), self.asr.final_load(pool, now))

    async def probe(self) -> None:
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
                self.asr.forget(worker)
                await self._on_gone(worker)

    async def _on_gone(self, worker: str) -> None:
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
        """Tell sessions which of their finals a worker has, or is done with. Runs until cancelled."""
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
        before = self._queues.get(pool, queue)
        self._queues[pool] = queue
        continues = queue.continues(before)
        for live in self._sessions:
            if live.pool != pool:
                continue
            if not continues:
                live.on_bus(connected=True)  # as if the broker had restarted: what waited in it is gone
            live.on_taken(queue.taken_upto_seq)
            if continues:
                live.on_done(before.acked_upto_seq)  # a round ago: by now the answers should be here

    def on_result(self, result: AsrResult, pool: str | None) -> None:
        """A worker of `pool` answered a session that is open."""
        if result.kind == "final" and result.timings is not None and pool is not None:
            self.pool(pool).load.on_final(work_s(result))
        self._taken.on_result(result)

    def on_closed(self, session: str) -> None:
        """Nobody waits for anything of this session any more."""
        self._taken.on_closed(session)

    def on_bus_back(self) -> None:
        """Heartbeats were lost with the connection; workers get their time to be heard again."""
        self._taken.clear()
        self._queues.clear()
        self.asr.renew(self._loop.time())
        self.llm.renew(self._loop.time())

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

    def _on_presence(self, subject: str, data: bytes) -> None:
        if self._hear(self.asr, data):
            self._heard.set()

    def _on_llm_presence(self, subject: str, data: bytes) -> None:
        self._hear(self.llm, data)

    def _hear(self, roster: Roster, data: bytes) -> bool:
        try:
            roster.on_presence(decode_presence(data), self._loop.time())
        except ValueError as error:
            log.warning("bad heartbeat", extra={"error": str(error)})
            return False
        return True
