"""The page in a real browser: a microphone that speaks, and captions that follow."""

import json
import re

import pytest

from tests.browser.chrome import Tab
from tests.browser.heard import NOTE_AUDIO, words_heard
from tests.integration.conftest import Launch
from tests.integration.gateway_client import SAMPLE, became

pytestmark = [pytest.mark.weights, pytest.mark.slow]

FINALS = """[...document.querySelectorAll('.utterance[data-state="final"] .utterance-text')].map((e) => e.innerText)"""
FIRST_FINAL = f"({FINALS})[0]"
WORDS_IN_FLIGHT = """document.querySelector('.utterance[data-state="speaking"] .utterance-stable')?.innerText.trim()"""


async def ready(launch_gateway: Launch, launch_worker: Launch, **settings: str) -> str:
    """The address of a service that can transcribe."""
    gateway = await launch_gateway(**settings)
    await launch_worker()
    await became(gateway.port, 200)
    return f"http://127.0.0.1:{gateway.port}/"


async def test_words_appear_while_they_are_spoken_and_the_final_holds_all_that_was_heard(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    url = await ready(launch_gateway, launch_worker)
    await tab.open(url, before=NOTE_AUDIO)
    await tab.click("record")
    in_flight = str(await tab.until(WORDS_IN_FLIGHT))
    final = str(await tab.until(FIRST_FINAL))
    assert final.startswith(in_flight)
    assert final == await words_heard(tab)
    assert len(final.split()) > 8
    assert re.fullmatch(r"\d\.\d s", str(await tab.run("document.querySelector('.utterance-note').innerText")))
    assert await tab.text("connection") == "Listening"
    await tab.click("record")
    await tab.until("document.getElementById('connection').innerText === 'Ready'")
    assert await tab.run("window.violations") == []
    assert tab.complaints == []


async def test_a_dropped_recording_is_transcribed_in_its_own_format(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    url = await ready(launch_gateway, launch_worker)
    await tab.open(url)
    await tab.choose_file("file", SAMPLE)
    await tab.until(f"({FINALS}).length >= 5 && document.getElementById('connection').innerText === 'Ready'")
    assert await tab.run("document.querySelector('.recording').innerText") == "austen.flac"
    assert await tab.text("choose-file") == "Open a recording"
    saved = await tab.run("import('/static/page/documents.js').then((d) => d.timestamp(3661.5, ','))")
    assert saved == "01:01:01,500"


async def test_after_a_reload_the_page_can_be_used_again(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    url = await ready(launch_gateway, launch_worker)
    await tab.open(url)
    await tab.click("record")
    await tab.until(WORDS_IN_FLIGHT)
    await tab.open(url)
    assert await tab.text("connection") == "Ready"
    await tab.click("record")
    await tab.until("document.getElementById('connection').innerText === 'Listening'")


async def test_captions_alone_fill_the_room_and_escape_leaves_it(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    await tab.open(await ready(launch_gateway, launch_worker))
    await tab.click("room")
    shown = "getComputedStyle(document.querySelector('.desk')).display"
    assert await tab.run(shown) == "none"
    await tab.press("Escape", 27)
    await tab.until(f"{shown} !== 'none'")


async def test_the_embedded_variant_may_stand_in_any_page_and_the_full_one_may_not(
    launch_gateway: Launch, tab: Tab
) -> None:
    gateway = await launch_gateway()
    address = f"http://127.0.0.1:{gateway.port}/"
    for query, expected in (("", "'self'"), ("?embed=1", "*"), ("?embed=0", "'self'")):
        policy = await _header(tab, address, query)
        assert policy.endswith(f"frame-ancestors {expected}"), query
    await tab.open(f"{address}?embed=1&language=de&theme=dark")
    assert await tab.run("document.getElementById('language').value") == "de"
    assert await tab.run("getComputedStyle(document.querySelector('.wordmark')).display") == "none"


async def _header(tab: Tab, address: str, query: str) -> str:
    await tab.open(address)
    script = f"fetch({json.dumps(address + query)}).then((r) => r.headers.get('Content-Security-Policy'))"
    return str(await tab.run(script))
