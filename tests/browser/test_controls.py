"""The controls of the page: devices, language, saving, theme."""

import json

import pytest

from tests.browser.chrome import Tab
from tests.browser.test_captions import FIRST_FINAL, WORDS_IN_FLIGHT, ready
from tests.integration.conftest import Launch

pytestmark = [pytest.mark.weights, pytest.mark.slow]

LISTENING = "document.getElementById('connection').innerText === 'Listening'"
SAVED = """
window.saved = [];
URL.createObjectURL = (blob) => { window.saved.push(blob); return "#"; };
HTMLAnchorElement.prototype.click = function () { window.savedName = this.download; };
"""


async def choose(tab: Tab, element: str, index: int) -> None:
    """Another entry of a menu, as a person chooses it."""
    await tab.run(
        f"(() => {{ const menu = document.getElementById({json.dumps(element)}); menu.selectedIndex = {index};"
        " menu.dispatchEvent(new Event('change')); })()"
    )


async def test_another_microphone_can_be_chosen_while_somebody_speaks(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    await tab.open(await ready(launch_gateway, launch_worker))
    await tab.click("record")
    await tab.until("document.getElementById('device').options[1]?.text")
    await tab.until(WORDS_IN_FLIGHT)
    await choose(tab, "device", 1)
    await tab.until(f"document.getElementById('record-label').innerText === 'Stop' && {LISTENING}")
    assert await tab.run("document.getElementById('notice').hidden")


async def test_another_language_takes_effect_at_once_and_costs_no_word(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    await tab.open(await ready(launch_gateway, launch_worker))
    await tab.click("record")
    await tab.until(WORDS_IN_FLIGHT)
    await tab.run(
        "(() => { const menu = document.getElementById('language'); menu.value = 'de';"
        " menu.dispatchEvent(new Event('change')); })()"
    )
    await tab.until("document.querySelectorAll('.utterance[data-state=\"final\"]').length === 2")
    languages = "[...document.querySelectorAll('.utterance')].map((e) => e.lang)"
    assert await tab.run(languages) == ["en", "de"]
    assert await tab.text("connection") == "Listening"
    assert await tab.run("JSON.parse(localStorage['harken.preferences']).language") == "de"


async def test_finals_can_be_saved_in_each_format_once_there_are_any(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    await tab.open(await ready(launch_gateway, launch_worker), before=SAVED)
    formats = "[...document.querySelectorAll('#save [data-format]')]"
    assert await tab.run(f"{formats}.every((button) => button.disabled)")
    await tab.click("record")
    text = str(await tab.until(FIRST_FINAL))
    await tab.run(f"{formats}.forEach((button) => button.click())")
    plain, srt, vtt, whole = await tab.run("Promise.all(window.saved.map((blob) => blob.text()))")
    assert plain == f"{text}\n"
    assert srt.startswith("1\n00:00:0")
    assert vtt.startswith("WEBVTT\n\n00:00:0")
    assert json.loads(whole)["segments"][0]["text"] == text
    assert str(await tab.run("window.savedName")).endswith(".json")
    await tab.click("record")
    await tab.click("clear")
    assert await tab.run("document.querySelectorAll('.utterance').length") == 0


async def test_the_theme_is_chosen_and_kept(launch_gateway: Launch, tab: Tab) -> None:
    gateway = await launch_gateway()
    address = f"http://127.0.0.1:{gateway.port}/"
    await tab.open(address)
    paper = "getComputedStyle(document.body).backgroundColor"
    await tab.click("theme")
    light = await tab.run(paper)
    await tab.click("theme")
    assert await tab.text("theme") == "Theme: dark"
    assert await tab.run(paper) != light
    await tab.open(address)
    assert await tab.text("theme") == "Theme: dark"
