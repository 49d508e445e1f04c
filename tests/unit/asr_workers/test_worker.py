import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from asr_workers.batch.plan import BatchPlan, Group, PlanLimits
from asr_workers.batch.scheduler import Scheduler
from asr_workers.engines.base import EngineOptions, Outcome, Prepared, Window
from asr_workers.engines.scripted import ScriptedEngine
from asr_workers.metrics import WorkerMetrics
from asr_workers.worker import EngineStuck, Worker, WorkerOptions
from bus.contract import subjects
from bus.contract.errors import BusUnavailable
from bus.contract.work import AsrRequest, AsrResult, AsrTaken, decode_result, decode_taken, encode
from tests.unit.asr_workers.requests import loud, request

WITHIN_S = 10.0


@dataclass(eq=False)
class FakeJob:
    """A delivery that notes how it was answered."""

    data: bytes
    deliveries: int = 1
    stored_age_s: float = 0.25
    refuses: bool = False
    ack_subject: str = "$JS.ACK.ASR_FINAL.asr_std.1.7.9.1.0"
    answer: str = ""
    renewals: int = 0
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    renewed: asyncio.Event = field(default_factory=asyncio.Event)

    async def ack(self) -> None:
        self._say("ack")

    async def nak(self, delay_s: float | None = None) -> None:
        self._say("nak" if delay_s is None else f"nak after {delay_s:g}")

    async def term(self, reason: str) -> None:
        self._say(f"term {reason}")

    async def in_progress(self) -> None:
        self.renewals += 1
        self.renewed.set()

    async def wait(self) -> str:
        async with asyncio.timeout(WITHIN_S):
            await self.answered.wait()
        return self.answer

    def _say(self, answer: str) -> None:
        assert not self.answer, "a job is answered once"
        self.answer = answer
        self.answered.set()
        if self.refuses:
            raise BusUnavailable("not connected to NATS")


class FakeSource:
    """Jobs in the order of `put`; None ends it."""

    def __init__(self) -> None:
        self._jobs: asyncio.Queue[FakeJob | None] = asyncio.Queue()

    def put(self, job: FakeJob | None) -> None:
        self._jobs.put_nowait(job)

    @property
    def left(self) -> int:
        return self._jobs.qsize()

    async def fetch(self, *, wait_s: float | None) -> FakeJob | None:
        assert wait_s is None
        return await self._jobs.get()


class FakeBus:
    """Collects results by the inbox they went to, and what was said of finals taken."""

    def __init__(self) -> None:
        self.results: asyncio.Queue[AsrResult] = asyncio.Queue()
        self.taken: asyncio.Queue[AsrTaken] = asyncio.Queue()
        self.refuses = False

    async def publish(self, subject: str, data: bytes) -> None:
        if self.refuses:
            raise BusUnavailable("not connected to NATS")
        if subject.startswith("taken."):
            taken = decode_taken(data)
            assert subject == subjects.taken("g1", taken.session)
            self.taken.put_nowait(taken)
            return
        result = decode_result(data)
        assert subject == subjects.inbox("g1", result.session)
        self.results.put_nowait(result)

    async def next(self) -> AsrResult:
        async with asyncio.timeout(WITHIN_S):
            return await self.results.get()


class WatchedScheduler(Scheduler):
    """Lets a test wait for what the worker told it."""

    ready = 0
    started = 0

    def watch(self) -> None:
        self._news = asyncio.Event()

    def prepared(self, job: int, group: Group) -> None:
        super().prepared(job, group)
        self.ready += 1
        self._news.set()

    def plan(self, now: float) -> BatchPlan:
        plan = super().plan(now)
        self.started += len(plan.batches)
        self._news.set()
        return plan

    async def wait(self, *, ready: int = 0, started: int = 0) -> None:
        """Return when so many jobs were prepared and so many batches started, since the beginning."""
        async with asyncio.timeout(WITHIN_S):
            while self.ready < ready or self.started < started:
                self._news.clear()
                await self._news.wait()


class Rig:
    """A worker with everything around it faked but the engine, which is scripted."""

    def __init__(self, engine: ScriptedEngine, *, ack_wait_s: float = 30.0, decode_timeout_s: float = 30.0) -> None:
        able = engine.capabilities
        self.engine = engine
        self.bus = FakeBus()
        self.finals, self.partials = FakeSource(), FakeSource()
        self.registry = CollectorRegistry()
        limits = PlanLimits(executors=able.executors, final_batch=able.max_batch, partial_batch=able.max_batch)
        self.scheduler = WatchedScheduler(limits, finals_held=able.max_batch, partials_held=able.max_batch)
        self.scheduler.watch()
        self._model_threads = ThreadPoolExecutor(able.executors)
        self._feature_threads = ThreadPoolExecutor(1)
        self.worker = Worker(
            engine,
            self.scheduler,
            self.bus,
            model_threads=self._model_threads,
            feature_threads=self._feature_threads,
            options=WorkerOptions(worker="w1", ack_wait_s=ack_wait_s, max_deliver=4, decode_timeout_s=decode_timeout_s),
            metrics=WorkerMetrics(self.registry),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Rig"]:
        working = asyncio.create_task(self.worker.run(self.finals, self.partials))
        try:
            yield self
            async with asyncio.timeout(WITHIN_S):
                await self.worker.drain()
                await working
        finally:
            self.close()
            working.cancel()

    def close(self) -> None:
        self.engine.close()
        self._model_threads.shutdown()
        self._feature_threads.shutdown()

    def give(self, asked: AsrRequest, *, deliveries: int = 1, refuses: bool = False) -> FakeJob:
        job = FakeJob(encode(asked), deliveries=deliveries, refuses=refuses)
        (self.finals if asked.kind == "final" else self.partials).put(job)
        return job

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"harken_asr_{name}", labels) or 0.0


def rig(*, executors: int = 1, max_batch: int = 4, ack_wait_s: float = 30.0) -> Rig:
    options = EngineOptions(model_name="m", model_path=None, executors=executors, max_batch=max_batch)
    return Rig(ScriptedEngine(options), ack_wait_s=ack_wait_s)


async def test_a_window_is_answered_and_then_acknowledged() -> None:
    async with rig().running() as it:
        job = it.give(request(session="s7", segment=3, window=5))
        result = await it.bus.next()
        assert await job.wait() == "ack"
    assert (result.session, result.segment, result.window, result.text) == ("s7", 3, 5, "w0 w1")
    assert (result.model, result.worker, result.failure) == ("m", "w1", None)
    assert result.timings is not None and result.timings.queue_s == 0.25
    assert it.count("audio_seconds_total", kind="final") == pytest.approx(0.8)
    assert it.count("jobs_in_flight", kind="final") == 0


async def test_an_undecodable_request_is_terminated_at_once_with_its_reason() -> None:
    async with rig().running() as it:
        garbage, other = FakeJob(b"\xc1garbage"), FakeJob(encode(request("partial")))
        nowhere = FakeJob(encode(msgspec.structs.replace(request(), gateway="")))
        for job in (garbage, other, nowhere):
            it.finals.put(job)
        assert (await garbage.wait()).startswith("term not an asr.request")
        assert await other.wait() == "term a partial among the finals"
        assert (await nowhere.wait()).startswith("term gateway must be")
        good = it.give(request())
        assert await good.wait() == "ack"
    assert it.count("failures_total", outcome="undecodable") == 3


async def test_a_request_of_another_version_is_left_to_a_worker_of_that_version() -> None:
    async with rig().running() as it:
        newer = FakeJob(encode(msgspec.structs.replace(request(), version=2)))
        it.finals.put(newer)
        assert await newer.wait() == "nak after 1"
        last = FakeJob(newer.data, deliveries=4)
        it.finals.put(last)
        assert await last.wait() == "term message version 2, this process speaks 1"


async def test_a_final_that_fails_goes_back_until_its_last_delivery() -> None:
    async with rig().running() as it:
        assert await it.give(request(hotwords="scripted:raise")).wait() == "nak after 0.25"
        assert it.bus.results.empty()
        last = it.give(request(hotwords="scripted:raise"), deliveries=4)
        result = await it.bus.next()
        assert await last.wait() == "term decode_failed ScriptedFailure"
    assert result.failure is not None
    assert (result.failure.code, result.failure.message) == ("decode_failed", "ScriptedFailure")
    assert it.count("failures_total", outcome="retried") == 1
    assert it.count("failures_total", outcome="given_up") == 1


async def test_a_partial_that_fails_is_answered_at_once_and_leaves_no_dead_letter() -> None:
    async with rig().running() as it:
        job = it.give(request("partial", hotwords="scripted:raise"))
        assert (await it.bus.next()).failure is not None
        assert await job.wait() == "ack"


async def test_a_window_that_the_engine_refuses_is_not_tried_again() -> None:
    class Choosy(ScriptedEngine):
        def prepare(self, window: Window) -> Prepared:
            if window.language == "xx":
                raise ValueError("the model does not know this language")
            return super().prepare(window)

    async with Rig(Choosy(EngineOptions(model_name="m", model_path=None))).running() as it:
        job = it.give(request(language="xx"))
        assert (await it.bus.next()).failure is not None
        assert await job.wait() == "term decode_failed ValueError"


async def test_a_poisonous_window_fails_alone_in_its_batch() -> None:
    async with rig(max_batch=3).running() as it:
        blocker = it.give(request(session="s0", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        jobs = [it.give(request(session=f"s{i}", hotwords="scripted:raise" if i == 2 else "")) for i in range(1, 4)]
        await it.scheduler.wait(ready=4)
        it.engine.close()
        answers = [await job.wait() for job in (blocker, *jobs)]
    assert answers == ["ack", "ack", "nak after 0.25", "ack"]
    assert [len(call) for call in it.engine.calls] == [1, 3, 1, 1, 1]


async def test_finals_that_arrived_later_are_decoded_before_waiting_partials() -> None:
    async with rig().running() as it:
        blocker = it.give(request(session="s0", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        partial = it.give(request("partial", session="s1"))
        await it.scheduler.wait(ready=2)
        final = it.give(request(session="s2"))
        await it.scheduler.wait(ready=3)
        it.engine.close()
        for job in (blocker, partial, final):
            assert await job.wait() == "ack"
        order = [(await it.bus.next()).session for _ in range(3)]
    assert order == ["s0", "s2", "s1"]


async def test_a_newer_partial_takes_the_place_of_the_waiting_one() -> None:
    async with rig().running() as it:
        blocker = it.give(request(session="s0", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        old = it.give(request("partial", session="s1", window=1))
        await it.scheduler.wait(ready=2)
        new = it.give(request("partial", session="s1", window=2))
        await it.scheduler.wait(ready=3)
        it.engine.close()
        for job in (blocker, old, new):
            assert await job.wait() == "ack"
        results = {(r.session, r.window): r.failure for r in [await it.bus.next() for _ in range(3)]}
    assert {window: failure and failure.code for window, failure in results.items()} == {
        ("s0", 1): None,
        ("s1", 1): "superseded",
        ("s1", 2): None,
    }
    assert it.count("dropped_total", reason="superseded") == 1


async def test_no_more_jobs_are_taken_than_may_be_held() -> None:
    async with rig(max_batch=2).running() as it:
        it.give(request(session="s0", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        for i in range(1, 10):
            it.give(request(session=f"s{i}"))
        await it.scheduler.wait(ready=3)
        assert it.finals.left == 7
        it.engine.close()
        for _ in range(10):
            await it.bus.next()
    assert it.finals.left == 0


async def test_leases_of_held_jobs_are_renewed() -> None:
    async with rig(ack_wait_s=0.03).running() as it:
        job = it.give(request(hotwords="scripted:hang"))
        async with asyncio.timeout(WITHIN_S):
            await job.renewed.wait()
        it.engine.close()
        assert await job.wait() == "ack"


async def test_a_result_that_cannot_be_sent_gives_the_job_back() -> None:
    async with rig().running() as it:
        it.bus.refuses = True
        assert await it.give(request()).wait() == "nak"
        assert await it.give(request(hotwords="scripted:raise"), deliveries=4).wait() == "nak"
    assert it.count("bus_errors_total", call="publish") == 2


async def test_an_ack_that_cannot_be_sent_is_counted_and_harms_nothing() -> None:
    async with rig().running() as it:
        assert await it.give(request(), refuses=True).wait() == "ack"
        assert await it.give(request(session="s2")).wait() == "ack"
    assert it.count("bus_errors_total", call="ack") == 1


async def test_a_drain_finishes_what_runs_and_hands_back_what_waits() -> None:
    async with rig(max_batch=1).running() as it:
        running = it.give(request(session="s1", hotwords="scripted:hang"))
        await it.scheduler.wait(started=1)
        waiting = it.give(request(session="s2"))
        await it.scheduler.wait(ready=2)
        draining = asyncio.create_task(it.worker.drain())
        assert await waiting.wait() == "nak"
        unseen = it.give(request(session="s3"))
        it.engine.close()
        assert await running.wait() == "ack"
        await draining
        assert it.finals.left == 1
        assert not unseen.answer
    assert (await it.bus.next()).session == "s1"


async def test_a_worker_whose_sources_end_finishes_and_returns() -> None:
    it = rig()
    job = it.give(request())
    it.finals.put(None)
    it.partials.put(None)
    async with asyncio.timeout(WITHIN_S):
        await it.worker.run(it.finals, it.partials)
    it.close()
    assert job.answer == "ack"


async def test_a_model_call_that_never_returns_ends_the_worker_and_answers_nothing() -> None:
    engine = ScriptedEngine(EngineOptions(model_name="m", model_path=None))
    it = Rig(engine, decode_timeout_s=0.05)
    job = it.give(request(hotwords="scripted:hang"))
    with pytest.raises(ExceptionGroup) as caught:
        await it.worker.run(it.finals, it.partials)
    it.close()
    assert caught.group_contains(EngineStuck)
    assert job.answer == ""


async def test_a_window_that_the_guards_refuse_is_decoded_once_more() -> None:
    class Doubtful(ScriptedEngine):
        def decode(self, batch: Sequence[Prepared]) -> list[Outcome]:
            if batch[0].group.context_s < 30:
                self.calls.append(tuple(item.window for item in batch))
                return [replace(item, group=Group(30, 0)) for item in batch]
            return super().decode(batch)

    async with Rig(Doubtful(EngineOptions(model_name="m", model_path=None))).running() as it:
        job = it.give(request(pcm=loud(3)))
        assert (await it.bus.next()).text == "w0 w1 w2"
        assert await job.wait() == "ack"
    assert len(it.engine.calls) == 2
