"""The page and the answer for browsers, on the port of a real gateway."""

import json

import pytest

from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, dial, get, started

pytestmark = pytest.mark.weights


async def test_the_page_is_served_to_whoever_has_no_key(launch_gateway: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=secret")
    status, head, body = await get(gateway.port, "/?embed=1")
    assert status == 200
    assert "content-type: text/html" in head.lower()
    assert "<title>Harken" in body
    etag = next(line.partition(": ")[2] for line in head.splitlines() if line.lower().startswith("etag"))
    status, _, body = await get(gateway.port, "/", f"If-None-Match: {etag}")
    assert (status, body) == (304, "")
    assert (await get(gateway.port, "/static/sdk/harken.js"))[0] == 200
    assert (await get(gateway.port, "/static/../pyproject.toml"))[0] == 404


async def test_a_websocket_at_the_root_is_not_answered_with_the_page(launch_gateway: Launch) -> None:
    gateway = await launch_gateway()
    await (await dial(gateway.port, "/")).close()


async def test_a_browser_is_told_over_http_why_a_socket_is_refused(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=secret", HARKEN_GATEWAY_MAX_SESSIONS="1")
    await launch_worker()
    await became(gateway.port, 200)
    key = "Authorization: Bearer secret"
    status, _, body = await get(gateway.port, "/v1/admission")
    assert (status, json.loads(body)["error"]["code"]) == (401, "unauthorized")
    status, _, body = await get(gateway.port, "/v1/admission", key)
    assert (status, body) == (200, "admitted\n")
    async with await started(gateway.port, path="/v1/stream?token=secret"):
        status, head, body = await get(gateway.port, "/v1/admission", key)
    assert (status, json.loads(body)["error"]["code"]) == (503, "overloaded")
    assert "retry-after: 5" in head.lower()
