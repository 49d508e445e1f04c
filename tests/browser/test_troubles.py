"""What can go wrong for a person at the page: each trouble has its own plain message."""

import json

import pytest

from bus.control.probes import free_port
from tests.browser.chrome import INSECURE_HOST, Tab
from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, started

pytestmark = [pytest.mark.weights, pytest.mark.slow]

NOTICE = "(!document.getElementById('notice').hidden && document.getElementById('notice').dataset.code)"


def failing_microphone(name: str) -> str:
    """A browser in which opening the microphone fails in this way."""
    error = f"Promise.reject(new DOMException('', {json.dumps(name)}))"
    return f"MediaDevices.prototype.getUserMedia = () => {error};"


async def trouble(tab: Tab) -> str:
    """The code of the message that is shown once Start was pressed; the page must be as before otherwise."""
    await tab.click("record")
    code = str(await tab.until(NOTICE))
    assert await tab.text("notice-title")
    assert await tab.text("notice-text")
    await tab.until("document.getElementById('record-label').innerText === 'Start'")
    return code


async def test_a_microphone_that_is_blocked_is_said_to_be_blocked_and_can_be_tried_again(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await became(gateway.port, 200)
    await tab.allow_microphone("denied")
    await tab.open(f"http://127.0.0.1:{gateway.port}/")
    assert await trouble(tab) == "microphone_denied"
    assert "site settings" in await tab.text("notice-text")
    await tab.allow_microphone("granted")
    await tab.click("notice-action")
    await tab.until("document.getElementById('connection').innerText === 'Listening'")
    assert await tab.run("document.getElementById('notice').hidden")


@pytest.mark.parametrize(
    ("error", "code"),
    [("NotFoundError", "no_microphone"), ("NotReadableError", "microphone_busy"), ("TypeError", "microphone_failed")],
)
async def test_each_failure_of_the_microphone_has_its_own_message(
    launch_gateway: Launch, tab: Tab, error: str, code: str
) -> None:
    gateway = await launch_gateway()
    await tab.open(f"http://127.0.0.1:{gateway.port}/", before=failing_microphone(error))
    assert await trouble(tab) == code


async def test_an_address_that_is_not_secure_is_named_as_the_cause(launch_gateway: Launch, tab: Tab) -> None:
    gateway = await launch_gateway()
    await tab.open(f"http://{INSECURE_HOST}:{gateway.port}/")
    assert await trouble(tab) == "insecure_origin"


async def test_a_browser_that_hands_pages_no_sound_is_named_as_the_cause(launch_gateway: Launch, tab: Tab) -> None:
    gateway = await launch_gateway()
    await tab.open(f"http://127.0.0.1:{gateway.port}/", before="delete window.AudioWorkletNode;")
    assert await trouble(tab) == "unsupported_browser"


async def test_a_service_without_workers_says_so(launch_gateway: Launch, tab: Tab) -> None:
    gateway = await launch_gateway()
    await tab.open(f"http://127.0.0.1:{gateway.port}/")
    assert await trouble(tab) == "no_worker"


async def test_a_full_service_says_so(launch_gateway: Launch, launch_worker: Launch, tab: Tab) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_MAX_SESSIONS="1")
    await launch_worker()
    await became(gateway.port, 200)
    async with await started(gateway.port):
        await tab.open(f"http://127.0.0.1:{gateway.port}/")
        assert await trouble(tab) == "overloaded"
    assert "Nobody" not in await tab.text("connection")


async def test_a_service_that_is_gone_is_a_lost_connection(launch_gateway: Launch, tab: Tab) -> None:
    gateway = await launch_gateway()
    await tab.open(f"http://127.0.0.1:{gateway.port}/")
    await gateway.stop(9)
    assert await trouble(tab) == "network_lost"


async def test_a_service_that_wants_a_key_asks_for_it_and_takes_it(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    port = free_port("127.0.0.1")
    await launch_gateway(HARKEN_GATEWAY_PORT=str(port), HARKEN_GATEWAY_API_KEYS="acme=secret")
    await launch_worker()
    await became(port, 200)
    await tab.open(f"http://127.0.0.1:{port}/")
    assert await trouble(tab) == "unauthorized"
    assert await tab.run("document.getElementById('key-dialog').open")
    await tab.call("Input.insertText", text="secret")
    await tab.press("Enter", 13)
    await tab.until("document.getElementById('connection').innerText === 'Listening'")
    assert "secret" not in str(await tab.run("document.documentElement.outerHTML + JSON.stringify(localStorage)"))
