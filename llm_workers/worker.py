"""The worker's shell: requests from the broker and from gateways to the engine, pieces and last words to gateways.

Theory of operation. An answer that is taken holds a slot until the engine is done with it. The broker delivers a
request once: a second delivery would repeat text. So what ends an attempt is always said to the gateway, which asks
again with what it has; only then is the job acknowledged. A worker that dies says nothing: its lease runs out, and the
broker's advisory tells the gateway, if its heartbeats have not told before.

A cancel ends an attempt in silence, whether it runs or comes later. A fetch is out only while a slot is free: requests
that wait are left to workers that may be idle.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from bus.contract import subjects
from bus.contract.chat_work import (
    ChatDone,
    ChatFailed,
    ChatReply,
    ChatRequest,
    decode_chat_cancel,
    decode_chat_request,
    encode_chat,
)
from bus.contract.errors import BusUnavailable
from llm_workers import results
from llm_workers.answer import Answer, AttemptFailed, Patience
from llm_workers.cancelled import AnswerKey, Cancelled
from llm_workers.engines.base import Engine
from llm_workers.engines.ending import MayEnd
from llm_workers.metrics import WorkerMetrics
from llm_workers.presence import Publisher
from llm_workers.running import Job, JobSource, Running, RunningAnswers
from llm_workers.taking import Ignore, Refuse, Take, Verdict, judge

_LAST_WORD_PAUSES_S = (0.0, 0.1, 0.4, 1.0, 2.0)
"""Before each try to say the last word of an attempt to a bus that may be coming back."""
_UNREADABLE = "not a request that this worker can read"
_log = logging.getLogger(__name__)


class EngineBroken(Exception):
    """Nothing can be answered any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Who this worker is, and its patience."""

    worker: str
    aliases: tuple[str, ...]
    ack_wait_s: float
    """Lease of a job, as its consumer has it."""
    patience: Patience


class Worker:
    """Run `run` in a task; `drain` from another makes it return."""

    def __init__(
        self,
        engine: Engine,
        bus: Publisher,
        *,
        options: WorkerOptions,
        metrics: WorkerMetrics,
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._options = options
        self._metrics = metrics
        self._cancelled = Cancelled()
        self._running = RunningAnswers(engine.capabilities.slots, metrics)
        self._tasks = asyncio.TaskGroup()
        self._pulling: asyncio.Task[None] | None = None
        self._leaving = False
        self._is_over = False
        """From here on no task may begin; gateways have heard long before that this worker leaves."""
        self._engine_failures: set[AnswerKey] = set()
        """Answers that the engine failed since it last succeeded: one that no engine can give is no sign."""
        self._broken = asyncio.Event()

    @property
    def free_slots(self) -> int:
        """Slots that no answer holds."""
        return 0 if self._leaving else self._running.free_slots

    def on_slots(self, callback: Callable[[], None]) -> None:
        """Have `callback` called whenever a slot was taken or freed."""
        self._running.on_slots = callback

    async def run(self, source: JobSource) -> None:
        """Work until `drain` is through. An exception is fatal; what ran was told to the gateways."""
        async with self._tasks as tasks:
            self._pulling = tasks.create_task(self._pull(source), name="pull")
            services = [
                tasks.create_task(self._running.renew_leases(self._options.ack_wait_s / 3), name="renew-leases"),
                tasks.create_task(self._watch_engine(), name="watch-engine"),
            ]
            await asyncio.wait((self._pulling,))
            await self._running.wait_none()
            for service in services:
                service.cancel()
            self._is_over = True

    async def drain(self, patience_s: float) -> None:
        """Take no more; return when what runs is answered, or was given up after `patience_s`. Idempotent."""
        self._leaving = True
        if self._pulling is not None:
            self._pulling.cancel()
        try:
            async with asyncio.timeout(patience_s):
                await self._running.wait_none()
        except TimeoutError:
            self._stop_all(results.DRAINING)
            await self._running.wait_none()

    async def give_back(self, job: Job) -> None:
        """Answer for a job that came when it could not be fetched any more: its gateway asks again."""
        request = self._read(job.data)
        if request is None:
            await self._tell(partial(job.term, _UNREADABLE), "term")
            return
        verdict = self._judge(request, has_slot=False)
        assert not isinstance(verdict, Take), "there is no slot for it"
        await self._decline(request, job, verdict)

    def on_direct(self, data: bytes) -> None:
        """A gateway asks this worker, and no other. Called on the loop."""
        request = self._read(data)
        if request is not None and not self._is_over:
            self._on_request(request, None, has_slot=self.free_slots > 0)

    def on_cancel(self, data: bytes) -> None:
        """Nobody waits for an answer any more. Called on the loop, for every cancel of the pool."""
        try:
            cancel = decode_chat_cancel(data)
        except ValueError as error:
            _log.warning("bad cancel", extra={"reason": str(error)})
            return
        key = AnswerKey(cancel.session, cancel.answer)
        self._cancelled.add(key, upto_attempt=cancel.upto_attempt)
        for running in self._running.of_answer(key):
            if running.request.attempt <= cancel.upto_attempt:
                self._metrics.cancels.labels("running").inc()
                running.stop(None)

    async def _pull(self, source: JobSource) -> None:
        is_open = True
        while is_open:
            await self._running.wait_free()
            is_open = await self._fetch_while_free(source)

    async def _fetch_while_free(self, source: JobSource) -> bool:
        """Take the next job, unless all slots are taken first. False once the source is closed."""
        fetching = asyncio.create_task(source.fetch(wait_s=None), name="fetch")
        filled = asyncio.create_task(self._running.wait_full(), name="full")
        try:
            await asyncio.wait((fetching, filled), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (fetching, filled):
                task.cancel()
            await asyncio.wait((fetching, filled))
            # Even where this task is cancelled: the job would be lost for as long as its lease.
            job = None if fetching.cancelled() else fetching.result()
            if job is not None:
                self._on_job(job)
        return fetching.cancelled() or job is not None

    def _on_job(self, job: Job) -> None:
        request = self._read(job.data)
        if request is None:
            self._tasks.create_task(self._tell(partial(job.term, _UNREADABLE), "term"))
        else:  # where no slot is free any more, the engine makes it wait
            self._on_request(request, job, has_slot=True)

    def _read(self, data: bytes) -> ChatRequest | None:
        try:
            return decode_chat_request(data)
        except ValueError as error:
            self._metrics.refused.labels("undecodable").inc()
            _log.warning("undecodable request refused", extra={"reason": str(error)})
            return None

    def _on_request(self, request: ChatRequest, job: Job | None, *, has_slot: bool) -> None:
        verdict = self._judge(request, has_slot=has_slot)
        if not isinstance(verdict, Take):
            self._tasks.create_task(self._decline(request, job, verdict), name="decline")
            return
        for earlier in self._running.of_answer(results.key_of(request)):
            earlier.stop(None)
        running = Running(request, job)
        self._running.add(running)
        self._metrics.on_taken(request, "direct" if job is None else "queue")
        self._tasks.create_task(self._serve(running), name="answer")

    def _judge(self, request: ChatRequest, *, has_slot: bool) -> Verdict:
        return judge(
            request,
            cancelled=self._cancelled,
            running=[running.request.attempt for running in self._running.of_answer(results.key_of(request))],
            models=(self._engine.capabilities.model, *self._options.aliases),
            is_leaving=self._leaving,
            has_slot=has_slot,
        )

    async def _decline(self, request: ChatRequest, job: Job | None, verdict: Ignore | Refuse) -> None:
        match verdict:
            case Ignore("cancelled"):
                self._metrics.cancels.labels("before").inc()
                await self._close(request, job, None)
            case Ignore(reason):
                self._metrics.refused.labels(reason).inc()
                await self._close(request, job, None)
            case Refuse(reason):
                failure = results.refusal(reason, served=self._engine.capabilities.model)
                self._metrics.refused.labels(failure[0]).inc()
                await self._close(request, job, results.failed(request, failure, worker=self._options.worker))

    async def _serve(self, running: Running) -> None:
        try:
            await self._close(running.request, running.job, await self._outcome(running))
        finally:
            self._running.remove(running)

    async def _outcome(self, running: Running) -> ChatDone | ChatFailed | None:
        """Run the engine to the end of an attempt and tell what is to be said of it, None for nothing."""
        request = running.request
        answer = Answer(
            request,
            self._engine,
            lambda reply: self._publish(request, reply),
            worker=self._options.worker,
            patience=self._options.patience,
            queue_s=0.0 if running.job is None else running.job.stored_age_s,
        )
        running.work = work = asyncio.create_task(answer.run(), name="generate")
        try:
            if running.stopped:
                work.cancel()
            await asyncio.wait((work,))
        finally:
            work.cancel()
        self._metrics.dropped_turns.inc(answer.dropped_turns)
        if running.stopped:
            if not work.cancelled():
                work.exception()
            return None if running.failure is None else self._failed(request, running.failure)
        return self._last_word(request, work)

    def _last_word(self, request: ChatRequest, work: asyncio.Task[ChatDone]) -> ChatDone | ChatFailed:
        try:
            done = work.result()
        except AttemptFailed as error:
            if error.by_engine:
                self._on_engine_failure(request)
            return self._failed(request, error.failure)
        except BusUnavailable:
            self._metrics.bus_errors.labels("publish").inc()
            return self._failed(request, results.BUS_LOST)
        except Exception as error:  # an engine may raise anything; it concerns this answer. Its text may quote the user
            _log.error("engine raised what it should not", extra={"error": type(error).__name__})
            self._on_engine_failure(request)
            return self._failed(request, results.INTERNAL)
        self._engine_failures.clear()
        self._metrics.on_done(done.usage, done.timings)
        return done

    def _on_engine_failure(self, request: ChatRequest) -> None:
        self._engine_failures.add(results.key_of(request))
        if len(self._engine_failures) >= results.BROKEN_AFTER:
            self._broken.set()

    async def _watch_engine(self) -> None:
        """End the worker with its engine: others may do better, and a new process begins with a new engine."""
        ends = [asyncio.create_task(self._broken.wait(), name="broken")]
        if isinstance(self._engine, MayEnd):
            ends.append(asyncio.create_task(self._engine.ended.wait(), name="ended"))
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        self._leaving = True
        self._stop_all(results.ENGINE_GONE)
        await self._running.wait_none()
        raise EngineBroken("the model failed too often in a row" if self._broken.is_set() else "the model ended")

    def _stop_all(self, failure: results.Failure) -> None:
        for running in self._running:
            running.stop(failure)

    async def _close(self, request: ChatRequest, job: Job | None, last_word: ChatDone | ChatFailed | None) -> None:
        """Say the last word of an attempt, then tell the broker that the request is dealt with."""
        if last_word is not None:
            await self._say_last(request, last_word)
        if job is not None:
            await self._tell(job.ack, "ack")

    async def _say_last(self, request: ChatRequest, reply: ChatDone | ChatFailed) -> None:
        for pause_s in _LAST_WORD_PAUSES_S:
            await asyncio.sleep(pause_s)
            try:
                return await self._publish(request, reply)
            except BusUnavailable:
                self._metrics.bus_errors.labels("publish").inc()

    async def _publish(self, request: ChatRequest, reply: ChatReply) -> None:
        await self._bus.publish(subjects.chat_inbox(request.gateway, request.session), encode_chat(reply))

    async def _tell(self, answer: Callable[[], Awaitable[None]], call: str) -> None:
        try:
            await answer()
        except BusUnavailable:  # the lease runs out, and the gateway hears it by advisory
            self._metrics.bus_errors.labels(call).inc()

    def _failed(self, request: ChatRequest, failure: results.Failure) -> ChatFailed:
        self._metrics.failures.labels(failure[0]).inc()
        _log.warning(
            "answer failed",
            extra={
                "session": request.session,
                "answer": request.answer,
                "attempt": request.attempt,
                "code": failure[0],
                "reason": failure[1],
                "retryable": failure[2],
            },
        )
        return results.failed(request, failure, worker=self._options.worker)
