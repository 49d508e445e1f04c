"""Answers between the word that they are taken and the last one: slots, leases, and when none is left."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from bus.contract.chat_work import ChatDone, ChatRequest
from bus.contract.errors import BusUnavailable
from llm_workers.cancelled import AnswerKey
from llm_workers.metrics import WorkerMetrics
from llm_workers.results import Failure, key_of


class Job(Protocol):
    """One delivery of a request, as `bus.transport.raw_pull` gives it. Its calls raise BusUnavailable."""

    @property
    def data(self) -> bytes:
        """The encoded request."""

    @property
    def stored_age_s(self) -> float:
        """Time in the broker before this delivery."""

    async def ack(self) -> None:
        """Done."""

    async def term(self, reason: str) -> None:
        """Never deliver it again; `reason` goes to the dead letters."""

    async def in_progress(self) -> None:
        """Renew the lease."""


class JobSource(Protocol):
    """A continuous pull."""

    async def fetch(self, *, wait_s: float | None) -> Job | None:
        """Next job, or None once the source is closed if `wait_s` is None. Cancel-safe."""


@dataclass(slots=True, eq=False)
class Running:
    """One answer in this worker."""

    request: ChatRequest
    job: Job | None
    """None for who asked directly."""
    work: asyncio.Task[ChatDone] | None = field(default=None, repr=False)
    """What `stop` interrupts."""
    stopped: bool = False
    failure: Failure | None = None
    """What is said of it if it is stopped; None: nothing, for nobody waits."""

    @property
    def key(self) -> AnswerKey:
        """Its answer."""
        return key_of(self.request)

    def stop(self, failure: Failure | None) -> None:
        """End it now. The first call decides what is said."""
        if self.stopped:
            return
        self.stopped, self.failure = True, failure
        if self.work is not None:
            self.work.cancel()


class RunningAnswers:
    """All of one worker, each in a slot."""

    def __init__(self, slots: int, metrics: WorkerMetrics) -> None:
        self._slots = slots
        self._metrics = metrics
        self.on_slots: Callable[[], None] = lambda: None
        """Called whenever a slot was taken or freed."""
        self._running: dict[int, Running] = {}
        self._free = asyncio.Event()
        self._full = asyncio.Event()
        self._none = asyncio.Event()
        self._update()

    @property
    def free_slots(self) -> int:
        """Slots that no answer holds; never below 0."""
        return max(0, self._slots - len(self._running))

    def __iter__(self) -> Iterator[Running]:
        return iter(tuple(self._running.values()))

    def of_answer(self, key: AnswerKey) -> list[Running]:
        """The attempts at this answer that run."""
        return [running for running in self if running.key == key]

    def add(self, running: Running) -> None:
        """Take a slot. Where none is free, the engine makes it wait."""
        self._running[id(running)] = running
        self._update()

    def remove(self, running: Running) -> None:
        """Free its slot."""
        del self._running[id(running)]
        self._update()

    async def wait_free(self) -> None:
        """Return when a slot is free."""
        await self._free.wait()

    async def wait_full(self) -> None:
        """Return when no slot is free."""
        await self._full.wait()

    async def wait_none(self) -> None:
        """Return when no answer runs."""
        await self._none.wait()

    async def renew_leases(self, interval_s: float) -> None:
        """Keep the broker from giving up what runs. Runs until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            for running in self:
                if running.job is not None:
                    try:
                        await running.job.in_progress()
                    except BusUnavailable:
                        self._metrics.bus_errors.labels("in_progress").inc()

    def _update(self) -> None:
        self._metrics.active_slots.set(len(self._running))
        for event, is_so in (
            (self._free, self.free_slots > 0),
            (self._full, self.free_slots == 0),
            (self._none, not self._running),
        ):
            if is_so:
                event.set()
            else:
                event.clear()
        self.on_slots()
