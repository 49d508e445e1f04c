"""Jobs between their pull and their last word to the broker: leases, acknowledgements, and when none is left."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from asr_workers.cancelled import WindowKey
from asr_workers.engines.base import Prepared
from asr_workers.metrics import WorkerMetrics
from bus.contract.errors import BusUnavailable
from bus.contract.work import AsrRequest

Answer: TypeAlias = Callable[[], Awaitable[None]]
"""A call to the broker that is still to be made."""


class Job(Protocol):
    """One delivery of a request, as `bus.transport.raw_pull` gives it. Its calls raise BusUnavailable."""

    @property
    def data(self) -> bytes:
        """The encoded request."""

    @property
    def deliveries(self) -> int:
        """1 for the first delivery."""

    @property
    def stored_age_s(self) -> float:
        """Time in the broker before this delivery."""

    @property
    def ack_subject(self) -> str:
        """Where the broker takes the answers to this delivery."""

    async def ack(self) -> None:
        """Done."""

    async def nak(self, delay_s: float | None = None) -> None:
        """Deliver it again."""

    async def term(self, reason: str) -> None:
        """Never deliver it again; `reason` goes to the dead letters."""

    async def in_progress(self) -> None:
        """Renew the lease."""


class JobSource(Protocol):
    """A continuous pull."""

    async def fetch(self, *, wait_s: float | None) -> Job | None:
        """Next job, or None once the source is closed if `wait_s` is None. Cancel-safe."""


@dataclass(slots=True, eq=False)
class HeldJob:
    """One job in this worker."""

    number: int
    job: Job
    request: AsrRequest
    pulled_at: float
    prepared: Prepared | None = None
    answered: bool = False
    """The broker has been, or is being, told what became of the job."""
    batch_wait_s: float | None = None
    is_running: bool = False
    """In a model call."""

    @property
    def key(self) -> WindowKey:
        """The window, in whichever delivery or attempt."""
        return WindowKey(self.request.session, self.request.segment, self.request.window)


class HeldJobs:
    """All jobs of one worker. Whatever a call to the broker does, a released job is forgotten."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._held: dict[int, HeldJob] = {}
        self._released = asyncio.Event()

    def add(self, held: HeldJob) -> None:
        """Hold a job, under its number."""
        self._held[held.number] = held
        self._metrics.in_flight.labels(held.request.kind).inc()

    def get(self, numbers: Iterable[int]) -> list[HeldJob]:
        """The jobs of these numbers, all of them held."""
        return [self._held[number] for number in numbers]

    def of_window(self, key: WindowKey) -> HeldJob | None:
        """The job of a window that is held and not answered, if there is one."""
        return next((held for held in self._held.values() if held.key == key and not held.answered), None)

    async def release(self, held: HeldJob, answer: Answer, call: Literal["ack", "nak", "term"]) -> None:
        """Give the broker its answer, and forget the job. Only the first call for a job has an effect."""
        if held.answered:
            return
        held.answered = True
        await self.tell(answer, call)
        del self._held[held.number]
        self._metrics.in_flight.labels(held.request.kind).dec()
        self._released.set()

    async def tell(self, answer: Answer, call: str) -> None:
        """Make a call to the broker. If it fails, the lease runs out and the job is delivered again.

        That is harmless: a gateway takes the second answer to a window for the first.
        """
        try:
            await answer()
        except BusUnavailable:
            self._metrics.bus_errors.labels(call).inc()

    async def renew_leases(self, interval_s: float) -> None:
        """Keep the broker from delivering held jobs to others. Runs until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            for held in list(self._held.values()):
                await self.tell(held.job.in_progress, "in_progress")

    async def wait_until_none(self) -> None:
        """Return when no job is held."""
        await self._wait_until(lambda: not self._held)

    async def wait_until_alone(self, held: HeldJob) -> None:
        """Return when no other final is held than this one."""
        await self._wait_until(lambda: all(one is held or one.request.kind != "final" for one in self._held.values()))

    async def wait_until_released(self, held: HeldJob) -> None:
        """Return when the broker has this job back."""
        await self._wait_until(lambda: held.number not in self._held)

    async def _wait_until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._released.clear()
            await self._released.wait()
