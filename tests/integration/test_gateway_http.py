"""What the gateway's port answers to plain HTTP: probes, metrics and refusals with a body for programs."""

import asyncio
import json

import pytest

from bus.transport.embedded import EmbeddedNats
from tests.integration.conftest import Launch
from tests.integration.test_gateway_errors import event, started

pytestmark = pytest.mark.weights


async def get(port: int, path: str, *headers: str) -> tuple[int, str, str]:
    """Status, head and body of one request on a connection of its own."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]
            writer.write("\r\n".join(lines).encode())
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        finally:
            writer.close()
            await writer.wait_closed()
    return int(head.split()[1]), head, body


async def became(port: int, status: int) -> str:
    """The body of /readyz once it answers `status`."""
    async with asyncio.timeout(5):
        while True:
            seen, _, body = await get(port, "/readyz")
            if seen == status:
                return body


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

    _, head, text = await get(gateway.port, "/metrics")
    assert "text/plain" in head
    assert "\nharken_gateway_sessions 1.0\n" in text
    assert '\nharken_gateway_refused_total{reason="overloaded"} 1.0\n' in text

    await socket.send(bytes(32_000))
    await socket.send(json.dumps({"type": "audio.end"}))
    await event(socket, "session.ended")
    _, _, text = await get(gateway.port, "/metrics")
    assert "\nharken_gateway_audio_seconds_total 1.0\n" in text


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
