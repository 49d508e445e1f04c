"""The main path in Firefox and in WebKit, where they are installed; the other tests here are Chromium's."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.browser.firefox import find_firefox, firefox
from tests.browser.heard import NOTE_AUDIO, words_heard
from tests.browser.page import Page
from tests.browser.room import NO_SOUND, Room, has_sound
from tests.browser.test_captions import FINALS, FIRST_FINAL, ready
from tests.browser.test_chat import ANSWER, REMARK
from tests.browser.test_controls import SAVED
from tests.browser.test_troubles import NOTICE
from tests.browser.webkit import find_webkit, webkit
from tests.integration.conftest import Launch
from tests.integration.gateway_client import SAMPLE

pytestmark = [pytest.mark.weights, pytest.mark.slow]

OpenBrowser = Callable[[Mapping[str, str]], AbstractAsyncContextManager[Page]]

_CONNECTION = "document.getElementById('connection').innerText"
_HEARS = f"{_CONNECTION} === 'Listening' && document.getElementById('elapsed').innerText !== '0:00'"
_LANGUAGE = "document.getElementById('language').selectedOptions[0].text"
_PAPER = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(params=["firefox", "webkit"])
def browser(request: pytest.FixtureRequest) -> OpenBrowser:
    """Opens one page in a browser of its own, with an environment in which sound goes somewhere."""
    if not os.environ.get("HARKEN_TEST_BROWSER"):
        pytest.skip("make test-browser runs these")
    if request.param == "firefox":
        if (command := find_firefox()) is None:
            pytest.skip("no Firefox is installed (Debian: apt install firefox-esr)")
        return lambda environ: firefox(command, environ)
    if (path := find_webkit()) is None:
        pytest.skip("no WebKit that can be driven is installed (Debian: apt install webkit2gtk-driver xvfb)")
    return lambda environ: webkit(path, environ)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    """Where the browser's microphone stands."""
    if not has_sound():
        pytest.skip(
            "no sound server is installed (Debian: apt install pulseaudio pulseaudio-utils gstreamer1.0-pulseaudio)"
        )
    async with Room.to_speak_in() as room:
        yield room


async def test_a_recording_becomes_captions_and_a_typed_turn_is_answered_also_after_a_reload(
    browser: OpenBrowser, launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch
) -> None:
    await launch_llm_worker()
    url = await ready(launch_gateway, launch_worker)
    async with browser(NO_SOUND) as page:
        await page.open(url)
        assert await page.text("connection") == "Ready"
        await page.do(SAVED)
        await page.choose_file("file", SAMPLE)
        await page.until(f"({FINALS}).length >= 5 && {_CONNECTION} === 'Ready'")
        assert await page.run(_LANGUAGE) == "Detected: English"
        finals = await page.run(FINALS)
        await page.do("document.querySelector('#save [data-format=txt]').click()")
        assert await page.run("window.saved[0].text()") == "\n".join(finals) + "\n"
        await page.click("chat-toggle")
        await page.type("message", "hello there\n")
        await page.until(f"{REMARK}.includes('24 tokens')")
        await page.reload()
        assert await page.run(FINALS) == finals
        assert str(await page.run(ANSWER)).endswith("hello.23 there.24")
        await page.type("message", "once more\n")
        await page.until("[...document.querySelectorAll('.turn')].at(-1).innerText.includes('more.')")
        assert await page.text("connection") == "Connected"
        assert page.complaints == []


async def test_what_is_said_in_the_room_becomes_captions_which_fill_the_screen(
    browser: OpenBrowser, launch_gateway: Launch, launch_worker: Launch, room: Room, spoken_wav: Path
) -> None:
    url = await ready(launch_gateway, launch_worker)
    async with browser(room.environ) as page:
        await page.open(f"{url}?theme=light")
        await page.do(NOTE_AUDIO)
        await page.click("record")
        await page.until(_HEARS)
        await room.say(spoken_wav)
        final = str(await page.until(FIRST_FINAL))
        assert final == await words_heard(page)
        assert len(final.split()) > 8
        await page.click("room")
        assert await page.run("getComputedStyle(document.querySelector('.desk')).display") == "none"
        await page.click("leave-room")
        light = await page.run(_PAPER)
        await page.click("theme")
        assert await page.run(_PAPER) != light
        await page.click("record")
        await page.until(f"{_CONNECTION} === 'Ready'")
        assert page.complaints == []


async def test_a_machine_without_a_microphone_is_told_so(browser: OpenBrowser, launch_gateway: Launch) -> None:
    gateway = await launch_gateway()
    async with browser(NO_SOUND) as page:
        await page.open(f"http://127.0.0.1:{gateway.port}/")
        await page.click("record")
        assert await page.until(NOTICE) == "no_microphone"
        await page.until("document.getElementById('record-label').innerText === 'Start'")
        assert page.complaints == []
