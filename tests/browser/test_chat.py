"""Chat in a real browser: answers that stream, and what stops them."""

import pytest

from tests.browser.chrome import Tab
from tests.browser.page import Page
from tests.integration.conftest import Launch
from tests.integration.gateway_client import became

pytestmark = [pytest.mark.weights, pytest.mark.slow]

SLOW = "tokens_per_s=20"
LONG = "count with me scripted:tokens=400"
ANSWER = """(document.querySelector('.turn[data-who="assistant"] p')?.innerText ?? '')"""
REMARK = """(document.querySelector('.turn[data-who="assistant"] small')?.innerText ?? '')"""


async def with_chat(tab: Tab, launch_gateway: Launch, launch_llm_worker: Launch) -> int:
    """The page with its chat open; the gateway's port."""
    gateway = await launch_gateway()
    await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW)
    await tab.open(f"http://127.0.0.1:{gateway.port}/")
    await tab.click("chat-toggle")
    return gateway.port


async def ask(tab: Page, text: str) -> None:
    """Typed and sent with the keyboard alone."""
    await tab.type("message", f"{text}\n")


async def test_an_answer_streams_and_says_how_fast_it_was(
    launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch, tab: Tab
) -> None:
    port = await with_chat(tab, launch_gateway, launch_llm_worker)
    await launch_worker()
    await became(port, 200)
    await ask(tab, "hello there")
    early = await tab.until(f"{ANSWER}.includes('there.4') && {ANSWER}")
    assert "hello.23" not in early
    await tab.until(f"{REMARK}.includes('24 tokens')")
    assert str(await tab.run(ANSWER)).endswith("hello.23 there.24")
    assert str(await tab.run(REMARK)).startswith("scripted: first word after")
    assert await tab.run("window.violations") == []
    assert tab.complaints == []


async def test_the_stop_button_stops_an_answer(
    launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch, tab: Tab
) -> None:
    port = await with_chat(tab, launch_gateway, launch_llm_worker)
    await launch_worker()
    await became(port, 200)
    await ask(tab, LONG)
    await tab.until(f"{ANSWER}.includes('with.2')")
    await tab.click("stop-answer")
    await tab.until(f"{REMARK} === 'Stopped'")
    assert await tab.run("document.getElementById('stop-answer').hidden")


async def test_whoever_begins_to_speak_stops_the_answer_and_is_answered(
    launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch, tab: Tab
) -> None:
    port = await with_chat(tab, launch_gateway, launch_llm_worker)
    await launch_worker()
    await became(port, 200)
    await ask(tab, LONG)
    await tab.until(f"{ANSWER}.includes('with.2')")
    await tab.click("record")
    await tab.until(f"{REMARK} === 'Stopped, because somebody spoke'")
    spoken = await tab.until("""document.querySelectorAll('.turn[data-who="you"]')[1]?.innerText""")
    assert "spoken" in spoken
    await tab.until("""document.querySelectorAll('.turn[data-who="assistant"]')[1]?.innerText.includes('w')""")
    assert await tab.text("connection") == "Listening"


async def test_without_anybody_to_transcribe_typed_turns_are_answered(
    launch_gateway: Launch, launch_llm_worker: Launch, tab: Tab
) -> None:
    await with_chat(tab, launch_gateway, launch_llm_worker)
    # A worker is known within one heartbeat: until then the page says that nobody is there.
    await ask(tab, "hello there")
    await tab.until("document.querySelectorAll('.turn').length >= 2")
    await tab.until(f"{REMARK} !== ''")
    if "24 tokens" not in await tab.run(REMARK):
        await tab.run("document.querySelector('.turn small button').click()")
    await tab.until("""[...document.querySelectorAll('.turn small')].some((e) => e.innerText.includes('24 tokens'))""")
