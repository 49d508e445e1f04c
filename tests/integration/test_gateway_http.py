"""What the gateway's port answers to plain HTTP: probes, metrics and refusals with a body for programs."""

import json

import pytest
from websockets.exceptions import InvalidStatus

from bus.transport.embedded import EmbeddedNats
from tests.integration.conftest import Launch
from tests.integration.gateway_client import AUDIO_END, became, dial, event, figures, get, started

pytestmark = pytest.mark.weights


async def test_the_process_is_healthy_at_once_and_ready_only_with_a_worker_and_nats(
    launch_gateway: Launch, launch_worker: Launch, nats_server: EmbeddedNats
) -> None:
    gateway = await launch_gateway()
    assert (await get(gateway.port, "/healthz"))[0] == 200
    assert "no ASR worker is alive" in await became(gateway.port, 503)

    await launch_worker()
    assert await became(gateway.port, 200) == "ready\n"

    await nats_server.kill()
    assert "no connection to NATS" in await became(gateway.port, 503)
    assert (await get(gateway.port, "/healthz"))[0] == 200

    await nats_server.start()
    assert await became(gateway.port, 200) == "ready\n"


async def test_metrics_count_sessions_audio_and_refusals(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_MAX_SESSIONS="1")
    await launch_worker()
    await became(gateway.port, 200)  # a start that is refused would take up the one place for a moment
    socket = await started(gateway.port)
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    status, head, body = await get(gateway.port, "/v1/stream", *upgrade, "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==")
    assert (status, json.loads(body)["error"]["code"]) == (503, "overloaded")
    assert "retry-after: 5" in head.lower()

    _, head, _ = await get(gateway.port, "/metrics")
    assert "text/plain" in head
    shown = await figures(gateway.port)
    assert shown["harken_gateway_sessions"] == 1.0
    assert shown['harken_gateway_refused_total{reason="overloaded"}'] == 1.0

    await socket.send(bytes(32_000))
    await socket.send(AUDIO_END)
    await event(socket, "session.ended")
    assert (await figures(gateway.port))["harken_gateway_audio_seconds_total"] == 1.0


@pytest.mark.parametrize("header", [(), ("Authorization: Bearer wrong",), ("Authorization: Basic c2VjcmV0",)])
async def test_a_missing_or_wrong_key_is_refused_without_being_repeated(
    launch_gateway: Launch, header: tuple[str, ...]
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=secret")
    status, head, body = await get(gateway.port, "/v1/stream", "Upgrade: websocket", "Connection: Upgrade", *header)
    assert (status, json.loads(body)["error"]["code"]) == (401, "unauthorized")
    assert "wrong" not in head and "secret" not in body


async def test_headers_that_come_twice_are_no_internal_error(launch_gateway: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=secret")
    twice = ("Authorization: Bearer wrong", "Authorization: Bearer secret")
    status, _, _ = await get(gateway.port, "/v1/stream", "Upgrade: websocket", "Connection: Upgrade", *twice)
    assert status == 401


async def test_any_longest_utterance_that_is_offered_can_be_set(launch_gateway: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_MAX_UTTERANCE_S="5")
    assert (await get(gateway.port, "/healthz"))[0] == 200


async def test_plain_http_on_the_stream_and_unknown_paths_say_what_is_served(launch_gateway: Launch) -> None:
    gateway = await launch_gateway()
    status, _, body = await get(gateway.port, "/v1/stream")
    assert (status, json.loads(body)["error"]["code"]) == (426, "upgrade_required")
    status, _, body = await get(gateway.port, "/v2/stream")
    assert (status, json.loads(body)["error"]["code"]) == (404, "not_found")
    assert "/v1/stream" in body


async def test_keys_limits_and_paths_are_answered_before_the_upgrade(launch_gateway: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=secret", HARKEN_GATEWAY_MAX_SESSIONS="1")
    refusals = {"/v1/stream": 401, "/v1/stream?token=wrong": 401, "/elsewhere": 404}
    for path, status in refusals.items():
        with pytest.raises(InvalidStatus) as refusal:
            await dial(gateway.port, path)
        assert refusal.value.response.status_code == status

    async with await dial(gateway.port, "/v1/stream?token=secret"):
        with pytest.raises(InvalidStatus) as refusal:
            await dial(gateway.port, "/v1/stream?token=secret")
    assert refusal.value.response.status_code == 503
    assert refusal.value.response.headers["Retry-After"] == "5"
