"""Who can decode, or answer, right now, from the workers' heartbeats. Pure: `now` is monotonic seconds and comes in."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from bus.contract.errors import NoWorker, UnknownModel
from bus.contract.identifiers import check_identifier
from bus.contract.presence import EXPIRES_AFTER_S, WorkerPresence

_DEAF_AFTER_S = 1.0
"""Between two calls of `expire`: several times what it should be."""
_MAX_MODELS_SEEN = 1024
"""Of those that come later and go again, sessions hear that nobody knows them, instead of that nobody is there."""


class Route(NamedTuple):
    """Where a session's windows go, and the model that will decode them."""

    pool: str
    model: str


@dataclass(frozen=True, slots=True)
class _Heard:
    presence: WorkerPresence
    at: float


class Roster:
    """One gateway's view of all workers. Same heartbeats and `now`, same answers.

    A worker counts from its first heartbeat until it says that it leaves, or falls silent for `EXPIRES_AFTER_S`. One
    that leaves gets nothing more, and lives on for what it has: only `presence` tells of it.
    """

    def __init__(
        self, *, default_model: str | None = None, kind: str = "ASR", listens_since: float = -math.inf
    ) -> None:
        self._default_model = default_model
        self._kind = kind
        self._listens_since = listens_since
        self._workers: dict[str, _Heard] = {}
        self._looked_at: float | None = None
        self._served_at: dict[str, float] = {}
        """When each model was last known to have a worker."""

    def on_presence(self, presence: WorkerPresence, now: float) -> None:
        """Take in a heartbeat. ValueError for a pool name that no subject could hold."""
        check_identifier(presence.pool, "pool")
        self._workers[presence.worker] = _Heard(presence, now)
        if presence.state != "leaving":
            self._on_served(presence, now)

    def expire(self, now: float) -> tuple[str, ...]:
        """Forget the workers that fell silent, and name them, sorted.

        To be called often: time in which nobody did does not count against workers, for this process stood still then,
        or was cut off, and could not hear them.
        """
        if self._was_deaf(now):
            self.renew(now)
        self._looked_at = now
        for presence in self._live(now):
            self._on_served(presence, now)
        gone = tuple(sorted(worker for worker, heard in self._workers.items() if not self._is_live(heard, now)))
        for worker in gone:
            del self._workers[worker]
        return gone

    def forget(self, worker: str) -> None:
        """The worker is gone; if it is not, its next heartbeat brings it back. Idempotent."""
        self._workers.pop(worker, None)

    def renew(self, now: float) -> None:
        """Count every worker not yet forgotten as heard of now: their heartbeats were lost with our connection."""
        self._workers = {worker: _Heard(heard.presence, now) for worker, heard in self._workers.items()}

    def is_ready(self, now: float) -> bool:
        """Whether anyone can decode."""
        return bool(self._live(now))

    def models(self, now: float) -> tuple[str, ...]:
        """Names that a session may ask for now, sorted."""
        return tuple(sorted({presence.model for presence in self._live(now)}))

    def pools(self, now: float) -> tuple[str, ...]:
        """Pools that have a live worker, sorted."""
        return tuple(sorted({presence.pool for presence in self._live(now)}))

    def slots(self, pool: str, now: float) -> int:
        """Windows that the live workers of `pool` decode at the same time; 0 for an unknown pool."""
        return sum(presence.slots for presence in self._live(now) if presence.pool == pool)

    def final_load(self, pool: str, now: float) -> float:
        """Share of the slots of `pool` that finals use; 0 for an unknown pool."""
        heard = [presence for presence in self._live(now) if presence.pool == pool]
        slots = sum(presence.slots for presence in heard)
        # What is no share counts as none, NaN too.
        used = sum(presence.slots * min(1.0, max(0.0, presence.final_load)) for presence in heard)
        return used / slots if slots > 0 else 0.0

    def presence(self, worker: str, now: float) -> WorkerPresence | None:
        """The newest heartbeat of a worker, None if it does not live."""
        heard = self._workers.get(worker)
        return heard.presence if heard is not None and self._is_live(heard, now) else None

    def workers(self, pool: str, now: float) -> frozenset[str]:
        """The live workers of `pool`; none for an unknown pool."""
        return frozenset(presence.worker for presence in self._live(now) if presence.pool == pool)

    def unserved_s(self, model: str | None, now: float) -> float:
        """How long nobody has been there for `model`, or for any (None); 0 if somebody is, infinite if nobody ever was.

        As exact as `expire` is called often. Who listens only since a moment ago may not have heard of everybody.
        """
        if self._serving(model, now) if model is not None else self._live(now):
            return 0.0
        began = self._listens_since if now - self._listens_since < EXPIRES_AFTER_S else -math.inf
        served = max(self._served_at.values(), default=began) if model is None else self._served_at.get(model, began)
        return now - max(began, served)

    def pool_for(self, model: str | None, now: float) -> Route:
        """Pool for a session that asks for `model`, or for any (None): the default model if it is served.

        Among several pools that serve it the one with most slots, then the first by name. Raises NoWorker if nobody
        is there, or none of those who served this model before; UnknownModel if nobody ever did.
        """
        models = self.models(now)
        if not models:
            raise NoWorker(f"no {self._kind} worker is connected")
        if model is None:
            model = self._default_model if self._serving(self._default_model, now) else models[0]
        serving = self._serving(model, now)
        if not serving:
            if model in self._served_at:
                raise NoWorker(f"no {self._kind} worker for this model is connected at the moment")
            raise UnknownModel(f"no {self._kind} worker serves this model; available: {', '.join(models)}")
        pools = {presence.pool: presence.model for presence in serving}
        pool = min(pools, key=lambda pool: (-self.slots(pool, now), pool))
        return Route(pool, pools[pool])

    def _on_served(self, presence: WorkerPresence, now: float) -> None:
        for model in (presence.model, *presence.aliases):
            if model in self._served_at or len(self._served_at) < _MAX_MODELS_SEEN:
                self._served_at[model] = now

    def _serving(self, model: str | None, now: float) -> list[WorkerPresence]:
        return [presence for presence in self._live(now) if model == presence.model or model in presence.aliases]

    def _live(self, now: float) -> list[WorkerPresence]:
        return [
            heard.presence
            for heard in self._workers.values()
            if heard.presence.state != "leaving" and self._is_live(heard, now)
        ]

    def _is_live(self, heard: _Heard, now: float) -> bool:
        return self._was_deaf(now) or now - heard.at < EXPIRES_AFTER_S

    def _was_deaf(self, now: float) -> bool:
        return self._looked_at is not None and now - self._looked_at > _DEAF_AFTER_S
