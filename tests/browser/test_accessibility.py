"""axe-core finds no fault, in both themes and on each size of screen."""

import json
from pathlib import Path

import pytest

from tests.browser.chrome import Tab
from tests.integration.conftest import Launch
from tests.integration.gateway_client import became

pytestmark = [pytest.mark.weights, pytest.mark.slow]

AXE = Path(__file__).parents[2] / "clients" / "web" / "node_modules" / "axe-core" / "axe.min.js"
SIZES = ((390, 844), (1280, 800), (2560, 1440))
OVER_THE_EDGE = """[...document.querySelectorAll("button, select, input, textarea, .utterance-text, .turn")]
  .filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.id || e.className)"""
TAIL = "document.querySelector('.utterance-tail')?.innerText"


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: npm install --prefix clients/web")
async def test_nothing_keeps_anybody_from_reading_or_using_the_page(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await became(gateway.port, 200)
    await tab.open(f"http://127.0.0.1:{gateway.port}/")
    await tab.run(AXE.read_text(encoding="utf-8"))
    assert await faults(tab) == []
    await tab.click("chat-toggle")
    await tab.click("record")
    await tab.until(TAIL)
    for theme in ("light", "dark"):
        await tab.run(f"document.documentElement.dataset.theme = {json.dumps(theme)}")
        for width, height in SIZES:
            await tab.resize(width, height)
            assert await faults(tab) == [], f"{theme}, {width} px"
            assert await tab.run(OVER_THE_EDGE) == [], f"{theme}, {width} px"
    await tab.click("room")
    assert await faults(tab) == []


async def test_the_page_can_be_used_with_the_keyboard_alone(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await became(gateway.port, 200)
    await tab.open(f"http://127.0.0.1:{gateway.port}/")
    reached = []
    for _ in range(16):
        await tab.press("Tab", 9)
        reached.append(await tab.run("document.activeElement.id || document.activeElement.parentElement.id"))
    for element in ("save", "room", "chat-toggle", "theme", "captions", "record", "device", "language", "translate"):
        assert element in reached
    while await tab.run("document.activeElement.id") != "record":
        await tab.press("Tab", 9)
    await tab.press("Enter", 13)
    await tab.until("document.getElementById('connection').innerText === 'Listening'")


async def faults(tab: Tab) -> list[str]:
    """What axe-core finds, and where."""
    found = await tab.run(
        "axe.run({resultTypes: ['violations']}).then((r) => r.violations"
        ".map((v) => `${v.impact} ${v.id}: ${v.nodes.map((n) => n.html).join(' | ')}`))"
    )
    return [str(one) for one in found]
