"""Admission of one gateway over time: who is inside, how the pools and the process do, who may come in. Pure.

What a new session will ask of its pool shows only some seconds after it was let in. Until then it is a *newcomer*, and
there may be no more of them than the pool has room for beside the settled ones (`PoolLoad`), and no more than those, or
a few for each slot. So a crowd at the door is let in by and by, and what it does to the pool is seen before the next
follow. Should finals have to wait all the same, because a worker died or everybody speaks at once, the door is closed
(`PoolDoor`). Which pool an upgrade is for is not known before `session.start`: at the upgrade the pool that has most
room decides, after the start a closed one refuses.

A few sessions may always be open: where they alone keep a pool busy, it is what they send, not how many they are; and
where they alone keep the process busy, others do that on the same machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from typing import NamedTuple

from bus.contract.errors import Overloaded
from stream_gateway.policy.admission import Admission, GatewayView, admit
from stream_gateway.policy.pool import Pool
from stream_gateway.policy.population import Population
from stream_gateway.policy.shortage import Lack, ProcessLimits, Shortage

_SETTLE_S = 10.0
_MIN_NEWCOMERS = 8
_ALWAYS_PER_SLOT = 2
_ALWAYS = 8
"""Sessions that a process takes however busy it is."""
_NO_ROOM_RETRY_S = 10.0
_SPREAD_STEP = 0.618
"""Of the golden ratio: its multiples are spread evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """What one gateway takes."""

    max_sessions: int = 500
    max_tenant_sessions: int | None = None
    newcomers_per_slot: float = 4.0
    """0: any number may come at once, as long as no door is closed."""


class PoolState(NamedTuple):
    """A pool that has workers, and what they say."""

    pool: Pool
    slots: int
    final_load: float
    """Share of the slots that finals use."""


class Doorkeeper:
    """One gateway's. `look` a few times a second; `now` never goes back."""

    def __init__(self, limits: AdmissionLimits, process: ProcessLimits) -> None:
        self.draining = False
        self.inside = Population(settle_s=_SETTLE_S)
        self.process = Shortage(process)
        self._limits = limits
        self._pools: Mapping[str, PoolState] = {}
        self._refused = 0

    def look(self, pools: Mapping[str, PoolState], now: float) -> None:
        """The pools that have workers now, as they do."""
        self._pools = pools
        newcomers = self.inside.new(now)
        settled = len(self.inside) - newcomers
        for pool, slots, final_load in pools.values():
            pool.door.look(pool.lag, now)
            pool.load.look(share=final_load, slots=slots, sessions=settled, newcomers=newcomers, now=now)

    @property
    def max_sessions(self) -> int:
        """The limit for those who do not resume."""
        return self._limits.max_sessions

    def admission(self, tenant: str, now: float, *, resuming: bool = False, away: int = 0) -> Admission:
        """Whether one more socket of `tenant` may be upgraded now; `away`: sessions that would make room for it."""
        closed, max_newcomers = self._pools_closed, self._max_newcomers(now)
        settles_in_s = self.inside.next_settles_in_s(now)
        admission = admit(
            GatewayView(
                sessions=len(self.inside) - away,
                max_sessions=self._limits.max_sessions,
                draining=self.draining,
                resuming=resuming,
                tenant_sessions=self.inside.of_tenant(tenant),
                max_tenant_sessions=self._limits.max_tenant_sessions,
                lack=self._lack,
                pools_closed=closed,
                newcomers=self.inside.new(now),
                max_newcomers=max_newcomers,
                retry_s=_NO_ROOM_RETRY_S if closed or not max_newcomers else settles_in_s,
                spread=self._refused * _SPREAD_STEP % 1,
            )
        )
        self._refused += not admission.admitted
        return admission

    def check_pool(self, name: str) -> None:
        """Raise Overloaded if a session that is open already, and new, cannot be given to this pool."""
        state = self._pools.get(name)
        if state is None or self._are_few(len(self.inside) - 1):
            return
        # Of a lone pool the upgrade has asked already how much room it has.
        is_full = len(self._pools) > 1 and self._limits.newcomers_per_slot > 0 and not state.pool.load.room
        if state.pool.door.is_closed or is_full:
            raise Overloaded("the workers for this model have as many sessions as they can serve; try again later")

    def wants_no_more_because(self, *, away: int = 0) -> str | None:
        """Why another gateway should get new sessions. Not that the pools lag: they are the same for all."""
        if self.draining:
            return "draining"
        if len(self.inside) - away >= self._limits.max_sessions:
            return "holds as many sessions as it may"
        return None if self._lack is None else f"short of {self._lack}"

    @property
    def _lack(self) -> Lack | None:
        lack = self.process.lack
        return None if lack == "time" and len(self.inside) < _ALWAYS else lack

    @property
    def _pools_closed(self) -> bool:
        pools = self._pools.values()
        are_closed = bool(pools) and all(state.pool.door.is_closed for state in pools)
        return are_closed and not self._are_few(len(self.inside))

    def _are_few(self, sessions: int) -> bool:
        slots = sum(state.slots for state in self._pools.values())
        return sessions < _ALWAYS_PER_SLOT * max(1, slots)

    def _max_newcomers(self, now: float) -> int | None:
        """None: no limit, because nobody wants one, or nobody is there to decode and `session.start` will say so."""
        per_slot = self._limits.newcomers_per_slot
        if not per_slot or not self._pools or self._are_few(len(self.inside)):
            return None
        settled = len(self.inside) - self.inside.new(now)
        return max(
            floor(pool.door.width(now) * min(pool.load.room, max(_MIN_NEWCOMERS, per_slot * slots, settled)))
            for pool, slots, _ in self._pools.values()
        )
