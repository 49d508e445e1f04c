"""The worker's shell: jobs from the broker to the scheduler, batches to the model threads, results to gateways.

Theory of operation. A job is *held* from its pull until it is acknowledged; while it is held its lease is renewed, so a
dead worker's jobs come back after `ack_wait_s` and a slow one's do not. A result is published before the ack: if the
process dies in between, the window is decoded twice and the gateway sees the same answer twice.

Whatever an engine raises concerns only the window that caused it, unless nothing succeeds any more: then the engine is
broken, and the process ends rather than fail what healthy workers could decode. A window that ends the process itself
comes back, and with it all that was held beside it; so a final that was delivered twice before runs alone, and the
innocent among them are decoded before the broker gives the guilty one up.

A final that was cancelled is done, as far as the broker is told; if it runs, its result is discarded. A final may be
asked for twice, for this worker may be the reason why its answer is late: the second one goes back for others to take.
"""

import asyncio
import itertools
import logging
import time
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from asr_workers.batch.plan import Batch
from asr_workers.batch.scheduler import Arrival, Scheduler
from asr_workers.batch.slot_use import SlotUse
from asr_workers.cancelled import Cancelled, WindowKey
from asr_workers.engines.base import Decoded, Engine, Prepared, decode_apart
from asr_workers.health import Health
from asr_workers.held_jobs import HeldJob, HeldJobs, Job, JobSource
from asr_workers.metrics import WorkerMetrics
from asr_workers.presence import Publisher, tell_taken
from asr_workers.results import (
    OVERTAKEN,
    decoded_result,
    failed_result,
    failure_of,
    is_suspect,
    on_duplicate,
    on_failure,
    on_unreadable,
    retry_delay_s,
    window_of,
)
from bus.contract import subjects
from bus.contract.errors import BusUnavailable, DecodeFailed
from bus.contract.work import (
    AsrResult,
    Failure,
    Timings,
    WindowKind,
    check_result,
    decode_cancel,
    decode_request,
    encode,
)

_log = logging.getLogger(__name__)


_OTHER_VERSION_DELAY_S = 1.0


class EngineStuck(Exception):
    """A model call did not return in time. Its thread cannot be ended, so the process must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Who this worker is, and its patience."""

    worker: str
    ack_wait_s: float
    """Lease of a job, as its consumer has it."""
    max_deliver: int
    """Deliveries of a final, as its consumer has it."""
    retry_delay_s: float = 0.25
    decode_timeout_s: float = 60.0


class Worker:
    """Run `run` in a task; `drain` from another makes it return."""

    def __init__(
        self,
        engine: Engine,
        scheduler: Scheduler,
        bus: Publisher,
        *,
        model_threads: Executor,
        feature_threads: Executor,
        options: WorkerOptions,
        metrics: WorkerMetrics,
    ) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._bus = bus
        self._model_threads = model_threads
        self._feature_threads = feature_threads
        self._options = options
        self._metrics = metrics
        self._numbers = itertools.count(1)
        self._held = HeldJobs(metrics)
        self._cancelled = Cancelled()
        able = engine.capabilities
        self._use = SlotUse(slots=able.slots, executors=able.executors)
        self._tasks = asyncio.TaskGroup()
        self._pulls: list[asyncio.Task[None]] = []
        self._health = Health()
        self._changed = asyncio.Event()
        self._room: dict[WindowKind, asyncio.Event] = {"final": asyncio.Event(), "partial": asyncio.Event()}

    @property
    def final_load(self) -> float:
        """Share of the slots that finals used lately."""
        return self._use.share(time.monotonic())

    async def run(self, finals: JobSource, partials: JobSource) -> None:
        """Work until `drain` is through. An exception is fatal: the jobs held return to the broker by their lease."""
        self._metrics.on_learnt(self._scheduler.learnt())
        async with self._tasks as tasks:
            self._pulls = [
                tasks.create_task(self._pull("final", finals), name="pull-finals"),
                tasks.create_task(self._pull("partial", partials), name="pull-partials"),
            ]
            services = [
                tasks.create_task(self._dispatch(), name="dispatch"),
                tasks.create_task(self._held.renew_leases(self._options.ack_wait_s / 3), name="renew-leases"),
            ]
            await asyncio.wait(self._pulls)
            await self._held.wait_until_none()
            for service in services:
                service.cancel()

    async def drain(self) -> None:
        """Take no more, hand back what waits, and return when what runs is answered. Idempotent."""
        for pull in self._pulls:
            pull.cancel()
        await asyncio.gather(*self._pulls, return_exceptions=True)
        for held in self._held.get(self._scheduler.withdraw()):
            await self._held.release(held, held.job.nak, "nak")
        await self._held.wait_until_none()

    async def _pull(self, kind: WindowKind, source: JobSource) -> None:
        while True:
            await self._room[kind].wait()
            job = await source.fetch(wait_s=None)
            if job is None:
                return
            held = self._hold(kind, job)
            if held is None:
                continue
            if is_suspect(kind, deliveries=job.deliveries):
                await self._admit_alone(held)
            else:
                self._admit(kind, held)

    def _hold(self, kind: WindowKind, job: Job) -> HeldJob | None:
        """Begin to answer for a job; None if it is not for this worker."""
        try:
            request = decode_request(job.data)
            if request.kind != kind:
                raise ValueError(f"a {request.kind} among the {kind}s")
        except ValueError as error:
            self._metrics.failures.labels("undecodable").inc()
            _log.warning("undecodable request refused", extra={"kind": kind, "reason": str(error)})
            if on_unreadable(error, deliveries=job.deliveries, max_deliver=self._options.max_deliver) == "retry":
                self._tasks.create_task(self._held.tell(partial(job.nak, _OTHER_VERSION_DELAY_S), "nak"))
            else:
                self._tasks.create_task(self._held.tell(partial(job.term, str(error)), "term"))
            return None
        held = HeldJob(next(self._numbers), job, request, time.monotonic())
        if kind == "final" and not self._is_wanted(held):
            return None
        self._held.add(held)
        if kind == "final":
            me, ack_subject = self._options.worker, job.ack_subject
            self._tasks.create_task(tell_taken(self._bus, request, worker=me, ack_subject=ack_subject))
        return held

    def _is_wanted(self, held: HeldJob) -> bool:
        """Whether a final is to be decoded here; if not, the broker is told."""
        if held.key in self._cancelled:
            self._metrics.dropped.labels("cancelled").inc()
            self._tasks.create_task(self._held.tell(held.job.ack, "ack"))
            return False
        if self._held.of_window(held.key) is None:
            return True
        self._metrics.dropped.labels("duplicate").inc()
        action = on_duplicate(deliveries=held.job.deliveries, max_deliver=self._options.max_deliver)
        if action == "retry":
            self._tasks.create_task(self._held.tell(partial(held.job.nak, self._options.retry_delay_s), "nak"))
        else:
            self._tasks.create_task(self._held.tell(held.job.ack, "ack"))
        return False

    def on_cancel(self, data: bytes) -> None:
        """Nobody waits for a final any more. Called on the loop, for every cancel of the pool."""
        try:
            cancel = decode_cancel(data)
        except ValueError as error:
            _log.warning("bad cancel", extra={"reason": str(error)})
            return
        key = WindowKey(cancel.session, cancel.segment, cancel.window)
        self._cancelled.add(key)
        held = self._held.of_window(key)
        if held is None:
            return
        self._metrics.dropped.labels("cancelled_late" if held.is_running else "cancelled").inc()
        self._scheduler.remove(held.number)
        self._changed.set()
        self._tasks.create_task(self._held.release(held, held.job.ack, "ack"))

    async def _admit_alone(self, held: HeldJob) -> None:
        """Run a final that may have ended another worker, with no other final at risk beside it."""
        try:
            await self._held.wait_until_alone(held)
        except asyncio.CancelledError:
            self._tasks.create_task(self._held.release(held, held.job.nak, "nak"))
            raise
        if held.answered:
            return  # it was cancelled meanwhile
        self._admit("final", held)
        await self._held.wait_until_released(held)

    def _admit(self, kind: WindowKind, held: HeldJob) -> None:
        request = held.request
        stale = self._scheduler.admit(
            Arrival(
                job=held.number,
                kind=kind,
                session=request.session,
                segment=request.segment,
                window=request.window,
                since=held.pulled_at,
            )
        )
        for superseded in self._held.get(stale):
            self._metrics.dropped.labels("superseded").inc()
            self._tasks.create_task(self._supersede(superseded))
        self._update_room()
        if held.number not in stale:
            self._tasks.create_task(self._prepare(held))

    async def _supersede(self, held: HeldJob) -> None:
        if await self._send(held, self._failed(held, OVERTAKEN)):
            await self._held.release(held, held.job.ack, "ack")

    async def _prepare(self, held: HeldJob) -> None:
        loop = asyncio.get_running_loop()
        try:
            prepared = await loop.run_in_executor(self._feature_threads, self._engine.prepare, window_of(held.request))
        except Exception as error:  # an engine may raise anything; it concerns this window only
            if not held.answered:
                self._scheduler.remove(held.number)
                self._changed.set()
                is_of_window = isinstance(error, ValueError)
                if not is_of_window:
                    self._health.on_failure()
                await self._fail(held, error, permanent=is_of_window)
            return
        held.prepared = prepared
        self._scheduler.prepared(held.number, prepared.group)
        self._changed.set()

    async def _dispatch(self) -> None:
        while True:
            self._changed.clear()
            now = time.monotonic()
            plan = self._scheduler.plan(now)
            for batch in plan.batches:
                for held in self._held.get(batch.jobs):
                    held.is_running = True
                self._tasks.create_task(self._run_batch(batch))
            self._update_room()
            delay_s = None if plan.look_again_at is None else max(0.0, plan.look_again_at - now)
            try:
                async with asyncio.timeout(delay_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _run_batch(self, batch: Batch) -> None:
        now = time.monotonic()
        items = self._held.get(batch.jobs)
        prepared = [item.prepared for item in items if item.prepared is not None]
        for item in items:
            # A fall-back decode is a second batch; the wait that counts is the one before the first.
            item.batch_wait_s = now - item.pulled_at if item.batch_wait_s is None else item.batch_wait_s
        finals = len(items) if batch.kind == "final" else 0
        self._use.begin(finals, now)
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._model_threads, decode_apart, self._engine, prepared)
        try:
            async with asyncio.timeout(self._options.decode_timeout_s):
                outcomes = await call
        except TimeoutError as error:
            raise EngineStuck(f"a model call took longer than {self._options.decode_timeout_s:g} s") from error
        self._use.end(finals, time.monotonic())
        failed = any(isinstance(outcome, Exception) for outcome in outcomes)
        self._scheduler.finish(batch, took_s=None if failed else time.monotonic() - now)
        self._metrics.on_learnt(self._scheduler.learnt())
        for item, outcome in zip(items, outcomes, strict=True):
            item.is_running = False
            if item.answered:
                continue  # it was cancelled meanwhile
            if isinstance(outcome, Prepared):
                item.prepared = outcome
                self._scheduler.again(item.number, outcome.group)
                continue
            self._scheduler.remove(item.number)
            if isinstance(outcome, Decoded):
                self._tasks.create_task(self._answer(item, outcome, len(items)))
            else:
                self._health.on_failure()
                self._tasks.create_task(self._fail(item, outcome, permanent=False))
        self._changed.set()

    async def _answer(self, held: HeldJob, decoded: Decoded, batch_size: int) -> None:
        timings = Timings(
            queue_s=held.job.stored_age_s,
            batch_wait_s=held.batch_wait_s or 0.0,
            features_s=decoded.features_s,
            encode_s=decoded.encode_s,
            decode_s=decoded.decode_s,
            batch_size=batch_size,
        )
        self._metrics.on_decoded(held.request, timings, fallback=decoded.fallback, suppressed=decoded.suppressed)
        result = decoded_result(
            held.request,
            decoded,
            timings=timings,
            model=self._engine.capabilities.model,
            worker=self._options.worker,
        )
        try:
            check_result(result)
        except ValueError as error:  # gateways would refuse it, and wait in vain
            self._health.on_failure()
            await self._fail(held, error, permanent=False)
            return
        self._health.on_success()
        if await self._send(held, result):
            await self._held.release(held, held.job.ack, "ack")

    async def _fail(self, held: HeldJob, error: Exception, *, permanent: bool) -> None:
        request, deliveries = held.request, held.job.deliveries
        action = on_failure(
            request.kind, deliveries=deliveries, max_deliver=self._options.max_deliver, permanent=permanent
        )
        reason = type(error).__name__
        self._metrics.failures.labels("retried" if action == "retry" else "given_up").inc()
        _log.warning(
            "window failed",
            extra={
                "session": request.session,
                "segment": request.segment,
                "window": request.window,
                "kind": request.kind,
                "error": reason,
                "deliveries": deliveries,
                "action": action,
            },
        )
        if action == "retry":
            delay_s = retry_delay_s(self._options.retry_delay_s, deliveries=deliveries)
            await self._held.release(held, partial(held.job.nak, delay_s), "nak")
            return
        if not await self._send(held, self._failed(held, failure_of(error))):
            return
        if request.kind == "final":
            await self._held.release(held, partial(held.job.term, f"{DecodeFailed.code} {reason}"), "term")
        else:
            await self._held.release(held, held.job.ack, "ack")

    def _failed(self, held: HeldJob, failure: Failure) -> AsrResult:
        model = self._engine.capabilities.model
        return failed_result(held.request, failure, model=model, worker=self._options.worker)

    async def _send(self, held: HeldJob, result: AsrResult) -> bool:
        """Publish a result; on failure hand the job back, so that another worker answers, and return False."""
        request = held.request
        try:
            await self._bus.publish(subjects.inbox(request.gateway, request.session), encode(result))
        except BusUnavailable:
            self._metrics.bus_errors.labels("publish").inc()
            await self._held.release(held, held.job.nak, "nak")
            return False
        return True

    def _update_room(self) -> None:
        for kind, event in self._room.items():
            if self._scheduler.room(kind):
                event.set()
            else:
                event.clear()
