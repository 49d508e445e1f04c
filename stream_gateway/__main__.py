"""`python -m stream_gateway`: one gateway process, until SIGTERM."""

import asyncio
import logging
import os
import secrets
import signal
import sys
from pathlib import Path
from ssl import SSLContext

import click
from prometheus_client import CollectorRegistry

from bus.contract.client_protocol import VadOptions
from bus.contract.errors import HarkenError
from bus.runtime import logs, readiness
from bus.runtime.lifecycle import Drain, DrainStep, run_until_signal
from bus.runtime.model_store.catalogue import SILERO_VAD
from bus.runtime.model_store.errors import ModelStoreError
from bus.runtime.model_store.store import default_cache_dir, resolve
from bus.runtime.readiness import tell_ready
from bus.runtime.settings import UnknownSetting, click_options, refuse_unknown_environment
from bus.runtime.shared_settings import SharedSettings
from bus.runtime.tls import TlsError, reload, server_context
from bus.transport.assets import AssetLimits, ensure_assets
from bus.transport.connection import BusConnection
from stream_gateway.chat.options import AnswerPatience
from stream_gateway.gateway import Gateway
from stream_gateway.listeners import Listeners
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.policy.admission import with_headroom
from stream_gateway.policy.cadence import CadenceOptions
from stream_gateway.policy.doorkeeper import AdmissionLimits, Doorkeeper
from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.policy.haste import HasteOptions
from stream_gateway.policy.hedging import HedgeOptions
from stream_gateway.policy.keys import parse_keys
from stream_gateway.policy.pool_door import DoorOptions
from stream_gateway.policy.shortage import ProcessLimits
from stream_gateway.process_limits import allow_open_files, available_bytes, collect_rarely
from stream_gateway.registry import Registry
from stream_gateway.segmentation.scorer import FrameScorer
from stream_gateway.segmentation.segmenter import SegmenterOptions
from stream_gateway.server import FrameLimits, FrontDoor
from stream_gateway.services import Services
from stream_gateway.session.config import RetryOptions, SessionLimits, segmenter_options
from stream_gateway.settings import GatewaySettings
from stream_gateway.sockets import SocketLimits
from stream_gateway.workforce import PoolOptions, Workforce

log = logging.getLogger(__name__)

_FIRST_HEARTBEAT_S = 1.0
"""Twice the workers' interval."""
_OTHER_FILES = 2_100
"""NATS, logs, the page, libraries; and connections whose TLS handshake goes on: these are counted once it is done."""
_TENANT_SHARE = 0.9
_MEMORY_SHARE = 0.8
_LAST_ARRIVALS_S = 0.5
"""From the last connection accepted until its request is read, and its session begun."""
_FINISH_S = 15.0
"""After the drain time-out sessions are ended by force; their finals get this long."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click_options(GatewaySettings)
@click_options(SharedSettings, "shared")
def main(settings: GatewaySettings, shared: SharedSettings) -> None:
    """Run one gateway: sockets in, NATS out."""
    logs.configure(shared.log_level, service="gateway", log_format=shared.log_format)
    logging.getLogger("websockets").setLevel(logging.WARNING)  # it has a line for every probe of /healthz
    try:
        refuse_unknown_environment(GatewaySettings.section, (GatewaySettings, SharedSettings), os.environ)
        tenants = parse_keys(settings.api_keys)
        tls = _tls(settings)
        vad_path = resolve(SILERO_VAD.name, cache_dir=shared.cache_dir or default_cache_dir())
    except (UnknownSetting, ModelStoreError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    sys.exit(run_until_signal(lambda stop: serve(settings, shared, vad_path, tenants, tls, stop)))


async def serve(
    settings: GatewaySettings,
    shared: SharedSettings,
    vad_path: Path,
    tenants: dict[str, str],
    tls: SSLContext | None,
    stop: asyncio.Event,
) -> int:
    """Run until `stop`, then drain; returns the exit code."""
    gateway_id = f"g{secrets.token_hex(6)}"
    try:
        bus = await _join_bus(settings, shared, gateway_id)
    except HarkenError as error:
        log.error("gateway cannot start", extra={"code": error.code, "reason": error.message})
        return 1
    scorer = FrameScorer(vad_path)
    await scorer.start()
    metrics = GatewayMetrics(CollectorRegistry())
    sessions = Registry()
    workforce = _workforce(settings, gateway_id, bus, metrics, sessions)
    doorkeeper = _doorkeeper(settings, tenants=len(set(tenants.values())))
    gateway = Gateway(
        gateway=gateway_id,
        bus=bus,
        metrics=metrics,
        sessions=sessions,
        workforce=workforce,
        doorkeeper=doorkeeper,
        services=_services(settings, gateway_id, bus, scorer, metrics, workforce, doorkeeper),
    )
    await gateway.start()
    # Else the first clients of a gateway that joins others on a port would hear that there is no worker.
    await workforce.wait_for_worker(_FIRST_HEARTBEAT_S)
    frames = FrameLimits(binary_bytes=settings.max_frame_bytes, base64_bytes=settings.max_base64_frame_bytes)
    sockets = SocketLimits(max_held_bytes=settings.max_input_mb << 20, max_strangers=settings.max_strangers)
    door = FrontDoor(gateway, metrics=metrics, tenants=tenants, frames=frames, sockets=sockets)
    _allow_files(with_headroom(settings.max_sessions) + settings.max_strangers + _OTHER_FILES)
    collect_rarely()
    address = {"host": settings.host, "port": settings.port}
    try:
        server = await door.listen(settings.host, settings.port, reuse_port=settings.reuse_port, tls=tls)
    except OSError as error:
        log.error("gateway cannot listen", extra={**address, "reason": str(error)})
        return 1
    if tls is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _renew, tls, settings)
    log.info("gateway listens", extra={**address, "tls": tls is not None, "gateway": gateway_id})
    tell_ready(os.environ.get(readiness.ENVIRONMENT))
    return await _run(settings, gateway, workforce, server, bus, scorer, stop)


def _tls(settings: GatewaySettings) -> SSLContext | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return server_context(settings.tls_cert, settings.tls_key)


def _renew(tls: SSLContext, settings: GatewaySettings) -> None:
    assert settings.tls_cert is not None and settings.tls_key is not None
    try:
        reload(tls, settings.tls_cert, settings.tls_key)
    except TlsError as error:
        log.error("certificate not renewed, the one before stays", extra={"reason": str(error)})
    else:
        log.info("certificate renewed")


async def _join_bus(settings: GatewaySettings, shared: SharedSettings, gateway_id: str) -> BusConnection:
    bus = await BusConnection.connect(
        shared.nats_url,
        name=f"harken-gateway-{gateway_id}",
        inbox_prefix="_INBOX_gw",
        connect_timeout_s=settings.connect_timeout_s,
    )
    limits = AssetLimits(transcripts_max_age_s=settings.transcript_retention_s)
    await ensure_assets(bus, limits=limits, replicas=shared.bus_replicas)
    return bus


async def _run(
    settings: GatewaySettings,
    gateway: Gateway,
    workforce: Workforce,
    server: Listeners,
    bus: BusConnection,
    scorer: FrameScorer,
    stop: asyncio.Event,
) -> int:
    # A process whose watchers have failed would go on half blind: it drains, and its supervisor starts another.
    tasks = [
        asyncio.create_task(work, name=name)
        for name, work in (
            ("watch", gateway.watch()),
            ("probe workers", workforce.probe()),
            ("follow queues", workforce.follow_queues()),
            ("stop", stop.wait()),
            ("bus closed", bus.closed.wait()),
        )
    ]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        if (error := task.exception()) is not None:
            log.error("gateway task failed", extra={"task": task.get_name()}, exc_info=error)

    async def stop_listening() -> None:
        server.close(close_connections=False)
        # Who came in as the door closed gets a session, and is told to move with all others.
        await asyncio.sleep(_LAST_ARRIVALS_S)

    async def close_bus() -> None:
        for task in tasks:
            task.cancel()
        await scorer.aclose()
        await bus.aclose()

    well = await Drain(
        [
            DrainStep("stop_listening", stop_listening, _LAST_ARRIVALS_S + 1.0),
            DrainStep(
                "finish_sessions", lambda: gateway.drain(settings.drain_timeout_s), settings.drain_timeout_s + _FINISH_S
            ),
            DrainStep("close_bus", close_bus, 5.0),
        ]
    ).run()
    return 0 if well and stop.is_set() else 1


def _allow_files(wanted: int) -> None:
    if (allowed := allow_open_files(wanted)) < wanted:
        log.warning("open files are limited to fewer than connections may be", extra={"allowed": allowed})


def _doorkeeper(settings: GatewaySettings, *, tenants: int) -> Doorkeeper:
    of_a_tenant = settings.max_tenant_sessions
    if of_a_tenant is None and tenants > 1:
        of_a_tenant = max(1, round(_TENANT_SHARE * settings.max_sessions))
    return Doorkeeper(
        AdmissionLimits(
            max_sessions=settings.max_sessions,
            max_tenant_sessions=of_a_tenant,
            newcomers_per_slot=settings.sessions_per_slot,
        ),
        ProcessLimits(
            max_process_lag_s=settings.max_process_lag_s,
            max_scoring_share=settings.max_scoring_share,
            max_memory_bytes=settings.max_memory_mb << 20 or round(_MEMORY_SHARE * available_bytes()),
        ),
    )


def _workforce(
    settings: GatewaySettings, gateway_id: str, bus: BusConnection, metrics: GatewayMetrics, sessions: Registry
) -> Workforce:
    return Workforce(
        gateway=gateway_id,
        bus=bus,
        metrics=metrics,
        sessions=sessions,
        options=PoolOptions(
            cadence=CadenceOptions(base_s=settings.partial_interval_s),
            hedging=HedgeOptions(enabled=settings.hedge_finals),
            haste=HasteOptions(mode=settings.hurry_finals),
            door=DoorOptions(max_lag_s=settings.max_lag_s),
        ),
        default_model=settings.default_model,
        default_chat_model=settings.default_chat_model,
    )


def _services(
    settings: GatewaySettings,
    gateway_id: str,
    bus: BusConnection,
    scorer: FrameScorer,
    metrics: GatewayMetrics,
    workforce: Workforce,
    doorkeeper: Doorkeeper,
) -> Services:
    return Services(
        gateway=gateway_id,
        bus=bus,
        scorer=scorer,
        metrics=metrics,
        route=workforce.route,
        check_pool=doorkeeper.check_pool,
        llm=workforce.llm,
        default_instructions=settings.default_instructions,
        patience=AnswerPatience(queued_s=settings.answer_queue_s, deadline_s=settings.answer_deadline_s),
        pool_of=workforce.pool,
        limits=SessionLimits(
            start_timeout_s=settings.start_timeout_s,
            idle_timeout_s=settings.idle_timeout_s,
            max_session_s=settings.max_session_s,
            max_buffered_audio_s=settings.max_buffered_audio_s,
        ),
        resume_grace_s=settings.resume_grace_s,
        max_frame_bytes=settings.max_frame_bytes,
        max_outbox_events=settings.max_outbox_events,
        segmenter=segmenter_options(
            VadOptions(endpoint_s=settings.endpoint_s, max_utterance_s=settings.max_utterance_s), SegmenterOptions()
        ),
        endpoint=EndpointOptions(mode=settings.endpoint_mode),
        follow_partials=settings.follow_partials,
        retry=RetryOptions(deadline_s=settings.final_deadline_s),
    )


if __name__ == "__main__":
    main()
