"""`python -m llm_workers`: one worker process, until SIGTERM."""

import asyncio
import logging
import os
import secrets
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

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
from bus.transport.assets import CHAT_ACK_WAIT_S, ensure_assets
from bus.transport.connection import BusConnection
from bus.transport.raw_pull import RawPull
from bus.transport.roles import INBOX_LLM
from llm_workers.answer import Patience
from llm_workers.engines.base import Engine, EngineOptions, EngineUnavailable
from llm_workers.engines.table import open_engine
from llm_workers.metrics import WorkerMetrics
from llm_workers.presence import Heartbeats
from llm_workers.settings import LlmSettings
from llm_workers.worker import Worker, WorkerOptions

log = logging.getLogger(__name__)

_LAST_WORDS_S = 5.0
"""How long it may take to tell gateways of the answers that were given up."""
_CLOSE_S = 5.0
"""How long an engine that is broken may take to be closed, before the process ends in any case."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click_options(LlmSettings)
@click_options(SharedSettings, "shared")
def main(settings: LlmSettings, shared: SharedSettings) -> None:
    """Run one LLM worker: requests from NATS in, answers out."""
    logs.configure(shared.log_level, service="llm", log_format=shared.log_format)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # at info it has a line for every answer
    try:
        refuse_unknown_environment(LlmSettings.section, (LlmSettings, SharedSettings), os.environ)
        path = _weights(settings, shared.cache_dir or default_cache_dir())
    except (UnknownSetting, ModelStoreError) as error:
        raise click.ClickException(str(error)) from None
    with ExitStack() as closing:
        if settings.metrics_port is not None:
            closing.callback(_serve_metrics(settings.metrics_port, reuse_port=shared.reuse_metrics_port).close)
        try:
            status = run_until_signal(lambda stop: serve(settings, shared, _engine_options(settings, path), stop))
        except EngineUnavailable as error:
            raise click.ClickException(str(error)) from None
    sys.exit(status)


def _serve_metrics(port: int, *, reuse_port: bool) -> MetricsServer:
    try:
        return serve_metrics(port, reuse_port=reuse_port)
    except OSError as error:
        raise click.ClickException(f"metrics cannot be served on port {port}: {error.strerror}") from None


def _weights(settings: LlmSettings, cache_dir: Path) -> Path | None:
    if settings.engine == "scripted" or settings.base_url:
        return None
    return resolve(settings.model, cache_dir=cache_dir)


def _engine_options(settings: LlmSettings, path: Path | None) -> EngineOptions:
    return EngineOptions(
        model_name=Path(settings.model).name,
        model_path=path,
        base_url=settings.base_url.rstrip("/"),
        api_key=settings.api_key or "",
        device=settings.device,
        slots=settings.slots,
        threads=settings.threads,
        context_tokens=settings.context_tokens,
        settings=settings.engine_options(),
    )


async def serve(settings: LlmSettings, shared: SharedSettings, options: EngineOptions, stop: asyncio.Event) -> int:
    """Work until `stop`, then drain; returns the exit code. Raises EngineUnavailable."""
    try:
        async with asyncio.timeout(settings.start_timeout_s):
            engine = await open_engine(settings.engine, options)
    except TimeoutError:
        raise EngineUnavailable(f"the engine was not ready within {settings.start_timeout_s:g} s") from None
    try:
        return await _serve_with(engine, settings, shared, stop)
    finally:
        await engine.aclose()


async def _serve_with(engine: Engine, settings: LlmSettings, shared: SharedSettings, stop: asyncio.Event) -> int:
    worker_id = f"l{secrets.token_hex(6)}"
    try:
        bus = await BusConnection.connect(
            shared.nats_url,
            name=f"harken-llm-{worker_id}",
            inbox_prefix=INBOX_LLM,
            connect_timeout_s=settings.connect_timeout_s,
        )
        await ensure_assets(bus, llm_pools=(settings.pool,), replicas=shared.bus_replicas)
    except HarkenError as error:
        log.error("worker cannot start", extra={"code": error.code, "reason": error.message})
        return 1
    try:
        return await _work(settings, bus, engine, worker_id, stop)
    finally:
        await bus.aclose()


def _worker_options(settings: LlmSettings, worker_id: str) -> WorkerOptions:
    return WorkerOptions(
        worker=worker_id,
        aliases=settings.aliases,
        ack_wait_s=CHAT_ACK_WAIT_S,
        patience=Patience(first_token_s=settings.first_token_timeout_s, next_token_s=settings.next_token_timeout_s),
    )


async def _work(settings: LlmSettings, bus: BusConnection, engine: Engine, worker_id: str, stop: asyncio.Event) -> int:
    able, metrics = engine.capabilities, WorkerMetrics()
    worker = Worker(engine, bus, options=_worker_options(settings, worker_id), metrics=metrics)
    beats = Heartbeats(
        bus,
        worker=worker_id,
        pool=settings.pool,
        able=able,
        aliases=settings.aliases,
        free_slots=lambda: worker.free_slots,
    )
    worker.on_slots(beats.on_slots)
    requests = RawPull(
        bus,
        stream=subjects.STREAM_LLM_REQUEST,
        consumer=subjects.llm_consumer(settings.pool),
        priority=settings.priority,
        give_back=worker.give_back,
    )
    working = asyncio.create_task(worker.run(requests), name="work")
    await bus.subscribe(subjects.cancel_llm(settings.pool), lambda _, data: worker.on_cancel(data))
    await bus.subscribe(subjects.llm_direct(worker_id), lambda _, data: worker.on_direct(data))
    await bus.flush()  # who hears the first heartbeat may ask at once
    beating = asyncio.create_task(beats.run(), name="heartbeats")
    waiters = (asyncio.create_task(stop.wait()), asyncio.create_task(bus.closed.wait()))
    log.info(
        "worker ready",
        extra={"worker": worker_id, "pool": settings.pool, "model": able.model, "slots": able.slots},
    )
    tell_ready(os.environ.get(readiness.ENVIRONMENT))
    await asyncio.wait((working, *waiters), return_when=asyncio.FIRST_COMPLETED)

    async def leave() -> None:
        await _end(*waiters)
        await beats.leave()

    if working.done() and (error := working.exception()) is not None:
        await Drain([DrainStep("leave", leave, 1.0), DrainStep("close_engine", engine.aclose, _CLOSE_S)]).run()
        await bus.aclose()
        end_at_once("worker failed", error_names(error))
    stopped = stop.is_set()
    well = await Drain(
        [
            DrainStep("leave", leave, 1.0),
            DrainStep(
                "finish_answers",
                lambda: worker.drain(settings.drain_timeout_s),
                settings.drain_timeout_s + _LAST_WORDS_S,
            ),
            DrainStep("fall_silent", lambda: _end(beating), 1.0),
            DrainStep("close_pull", requests.aclose, 2.0),
        ]
    ).run()
    if not well:
        end_at_once("drain incomplete", "a step failed or took too long")
    await working
    return 0 if stopped else 1


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    main()
