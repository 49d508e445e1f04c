"""`python -m asr_workers`: one worker process, until SIGTERM."""

import asyncio
import logging
import os
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import click

from asr_workers.allocator import limit_arenas
from asr_workers.batch.costs import CostModel
from asr_workers.batch.plan import PlanLimits
from asr_workers.batch.scheduler import Scheduler
from asr_workers.engines.base import Engine, EngineCapabilities, EngineOptions, EngineUnavailable
from asr_workers.engines.table import open_engine
from asr_workers.metrics import WorkerMetrics
from asr_workers.openmp import let_waiting_threads_sleep
from asr_workers.presence import Heartbeats
from asr_workers.settings import AsrSettings
from asr_workers.worker import Worker, WorkerOptions
from bus.contract import subjects
from bus.contract.errors import HarkenError
from bus.runtime import logs, readiness
from bus.runtime.lifecycle import Drain, DrainStep, end_at_once, error_names, run_until_signal
from bus.runtime.metrics import MetricsServer, serve_metrics
from bus.runtime.model_store.errors import ModelStoreError
from bus.runtime.model_store.store import default_cache_dir, resolve
from bus.runtime.readiness import tell_ready
from bus.runtime.settings import UnknownSetting, click_options, refuse_unknown_environment
from bus.runtime.shared_settings import SharedSettings
from bus.transport.assets import FINAL_ACK_WAIT_S, FINAL_MAX_DELIVERIES, ensure_assets
from bus.transport.connection import BusConnection
from bus.transport.raw_pull import RawPull

log = logging.getLogger(__name__)

_FEATURE_THREADS = 2


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click_options(AsrSettings)
@click_options(SharedSettings, "shared")
def main(settings: AsrSettings, shared: SharedSettings) -> None:
    """Run one ASR worker: windows from NATS in, text out."""
    logs.configure(shared.log_level, service="asr", log_format=shared.log_format)
    limit_arenas(len(os.sched_getaffinity(0)))
    let_waiting_threads_sleep(os.environ)
    try:
        refuse_unknown_environment(AsrSettings.section, (AsrSettings, SharedSettings), os.environ)
        path = _weights(settings, shared.cache_dir or default_cache_dir())
        engine = open_engine(settings.engine, _engine_options(settings, path))
    except (UnknownSetting, ModelStoreError, EngineUnavailable) as error:
        raise click.ClickException(str(error)) from None
    costs = CostModel(engine.warm_up())
    with ExitStack() as closing:
        closing.callback(engine.close)
        if settings.metrics_port is not None:
            closing.callback(_serve_metrics(settings.metrics_port, reuse_port=shared.reuse_metrics_port).close)
        status = run_until_signal(lambda stop: serve(settings, shared, engine, costs, stop))
    sys.exit(status)


def _serve_metrics(port: int, *, reuse_port: bool) -> MetricsServer:
    try:
        return serve_metrics(port, reuse_port=reuse_port)
    except OSError as error:
        raise click.ClickException(f"metrics cannot be served on port {port}: {error.strerror}") from None


def _weights(settings: AsrSettings, cache_dir: Path) -> Path | None:
    return None if settings.engine == "scripted" else resolve(settings.model, cache_dir=cache_dir)


def _engine_options(settings: AsrSettings, path: Path | None) -> EngineOptions:
    return EngineOptions(
        model_name=Path(settings.model).name,
        model_path=path,
        device=settings.device,
        compute_type=settings.compute_type,
        executors=settings.threads,
        call_threads=settings.call_threads,
        max_batch=settings.batch_size,
        beam_size=settings.beam_size,
    )


async def serve(
    settings: AsrSettings, shared: SharedSettings, engine: Engine, costs: CostModel, stop: asyncio.Event
) -> int:
    """Work until `stop`, then drain; returns the exit code."""
    worker_id = f"w{secrets.token_hex(6)}"
    try:
        bus = await BusConnection.connect(
            shared.nats_url,
            name=f"harken-asr-{worker_id}",
            inbox_prefix="_INBOX_asr",
            connect_timeout_s=settings.connect_timeout_s,
        )
        await ensure_assets(bus, pools=(settings.pool,), replicas=shared.bus_replicas)
    except HarkenError as error:
        log.error("worker cannot start", extra={"code": error.code, "reason": error.message})
        return 1
    try:
        return await _work(settings, bus, engine, costs, worker_id, stop)
    finally:
        await bus.aclose()


def _scheduler(settings: AsrSettings, able: EngineCapabilities, costs: CostModel) -> Scheduler:
    limits = PlanLimits(
        executors=able.executors,
        final_batch=able.max_batch,
        partial_batch=able.max_batch,
        max_wait_s=settings.batch_wait_s,
    )
    # Held beyond what runs: enough for the next batch, and on a CPU, where a batch is one window, for every executor;
    # the rest is left to workers that may be idle.
    held = max(able.executors, able.max_batch)
    return Scheduler(limits, finals_held=held, partials_held=held, costs=costs)


def _worker_options(settings: AsrSettings, worker_id: str) -> WorkerOptions:
    return WorkerOptions(
        worker=worker_id,
        ack_wait_s=FINAL_ACK_WAIT_S,
        max_deliver=FINAL_MAX_DELIVERIES,
        decode_timeout_s=settings.decode_timeout_s,
    )


async def _listen(bus: BusConnection, worker: Worker, worker_id: str, pool: str) -> None:
    """Before the first final is pulled."""
    await bus.subscribe(subjects.cancel_asr(pool), lambda _, data: worker.on_cancel(data))
    # Never answered: while the broker knows that it is listened to, gateways count on what this worker has.
    await bus.subscribe(subjects.alive_asr(worker_id), lambda *_: None)


async def _work(
    settings: AsrSettings, bus: BusConnection, engine: Engine, costs: CostModel, worker_id: str, stop: asyncio.Event
) -> int:
    able = engine.capabilities
    scheduler = _scheduler(settings, able, costs)
    consumer = subjects.asr_consumer(settings.pool)
    finals = RawPull(bus, stream=subjects.STREAM_ASR_FINAL, consumer=consumer, priority=settings.priority)
    partials = RawPull(bus, stream=subjects.STREAM_ASR_PARTIAL, consumer=consumer, priority=settings.priority)
    with (
        ThreadPoolExecutor(able.executors, "decode") as model_threads,
        ThreadPoolExecutor(_FEATURE_THREADS, "features") as feature_threads,
    ):
        worker = Worker(
            engine,
            scheduler,
            bus,
            model_threads=model_threads,
            feature_threads=feature_threads,
            options=_worker_options(settings, worker_id),
            metrics=WorkerMetrics(),
        )
        beats = Heartbeats(
            bus,
            worker=worker_id,
            pool=settings.pool,
            model=able.model,
            slots=able.slots,
            final_load=lambda: worker.final_load,
        )
        await _listen(bus, worker, worker_id, settings.pool)
        working = asyncio.create_task(worker.run(finals, partials), name="work")
        beating = asyncio.create_task(beats.run(), name="heartbeats")
        waiters = (asyncio.create_task(stop.wait()), asyncio.create_task(bus.closed.wait()))
        log.info("worker ready", extra={"worker": worker_id, "pool": settings.pool, "model": able.model})
        tell_ready(os.environ.get(readiness.ENVIRONMENT))
        await asyncio.wait((working, *waiters), return_when=asyncio.FIRST_COMPLETED)
        if working.done() and (error := working.exception()) is not None:
            end_at_once("worker failed", error_names(error))

        async def leave() -> None:
            for task in (beating, *waiters):
                task.cancel()
            await asyncio.gather(beating, *waiters, return_exceptions=True)
            await beats.leave()

        async def close_pulls() -> None:
            await finals.aclose()
            await partials.aclose()

        stopped = stop.is_set()
        well = await Drain(
            [
                DrainStep("leave", leave, 1.0),
                DrainStep("finish_decodes", worker.drain, settings.drain_timeout_s),
                DrainStep("close_pulls", close_pulls, 2.0),
            ]
        ).run()
        if not well:
            end_at_once("drain incomplete", "a step failed or took too long")
        return 0 if stopped else 1


if __name__ == "__main__":
    main()
