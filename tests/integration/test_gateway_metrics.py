"""What /metrics of a gateway and of a worker shows of one session with partials."""

import asyncio

import pytest

from tests.integration.conftest import Launch, ServiceProcess
from tests.integration.gateway_client import closed_with, figures, get, half_said, say_the_rest

pytestmark = pytest.mark.weights
STAGES = ("receive", "endpoint", "queue", "batch_wait", "encode", "decode", "publish", "total")
WORKER_STAGES = ("queue", "batch_wait", "features", "encode", "decode")
QUEUE_DEPTH = 'harken_gateway_queue_depth{pool="std"}'


@pytest.fixture
async def processes(launch_gateway: Launch, launch_worker: Launch) -> tuple[ServiceProcess, ServiceProcess]:
    """A gateway and a worker that have served one session of one utterance, with partials."""
    gateway = await launch_gateway()
    worker = await launch_worker()
    socket = await half_said(gateway.port)
    await say_the_rest(socket)
    assert await closed_with(socket) == 1000
    return gateway, worker


async def test_a_gateway_shows_each_stage_of_a_segment_and_the_lag_of_partials(
    processes: tuple[ServiceProcess, ServiceProcess],
) -> None:
    gateway, _ = processes
    shown = await figures(gateway.port)
    counts = {stage: shown[f'harken_segment_stage_seconds_count{{stage="{stage}"}}'] for stage in STAGES}
    assert counts == {**dict.fromkeys(STAGES, 1.0), "receive": 8.0}
    assert shown["harken_partial_lag_seconds_count"] >= 1
    assert shown['harken_gateway_segments_total{outcome="final"}'] == 1


async def test_a_gateway_shows_how_many_finals_wait_and_counts_what_it_drops(
    processes: tuple[ServiceProcess, ServiceProcess],
) -> None:
    gateway, _ = processes
    async with asyncio.timeout(10):  # the queue is looked at every second
        while QUEUE_DEPTH not in (shown := await figures(gateway.port)):
            pass
    assert shown[QUEUE_DEPTH] == 0
    assert shown['harken_gateway_pool_lag_seconds{pool="std"}'] > 0
    assert shown['harken_gateway_partials_stopped{pool="std"}'] == 0
    _, _, text = await get(gateway.port, "/metrics")
    assert "# TYPE harken_gateway_dropped_total counter" in text


async def test_a_worker_shows_its_batches_and_counts_fallback_decodes(
    processes: tuple[ServiceProcess, ServiceProcess],
) -> None:
    _, worker = processes
    shown = await figures(worker.port)
    finals = shown['harken_asr_batch_size_count{kind="final"}']
    partials = shown['harken_asr_batch_size_count{kind="partial"}']
    assert finals >= 1 and partials >= 1
    for stage in WORKER_STAGES:
        assert shown[f'harken_asr_{stage}_seconds_count{{kind="final"}}'] == finals
        assert shown[f'harken_asr_{stage}_seconds_count{{kind="partial"}}'] == partials
    _, _, text = await get(worker.port, "/metrics")
    assert "# TYPE harken_asr_fallback_decodes_total counter" in text
