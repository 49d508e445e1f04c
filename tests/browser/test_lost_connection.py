"""A connection that is lost, and a page that is loaded again: the session goes on, no word is missing or doubled."""

import json
import re
import signal

import pytest

from tests.browser.chrome import Tab
from tests.browser.heard import NOTE_AUDIO, words_heard
from tests.browser.road import Road
from tests.browser.test_captions import FINALS, FIRST_FINAL, WORDS_IN_FLIGHT
from tests.browser.test_chat import ANSWER, LONG, REMARK, SLOW, ask
from tests.integration.conftest import Launch, ServiceProcess
from tests.integration.gateway_client import became

pytestmark = [pytest.mark.weights, pytest.mark.slow]

CONNECTION = "document.getElementById('connection').innerText"
NOTICE = "(!document.getElementById('notice').hidden && document.getElementById('notice').dataset.code)"
RESUMED = f"{CONNECTION} === 'Connected again, nothing was lost'"
NOTE_SESSIONS = """
window.sessions = [];
const { parse } = JSON;
JSON.parse = (text) => {
  const value = parse(text);
  if (/^session\\.(started|resumed)$/.test(value?.type)) window.sessions.push(value);
  return value;
};"""
NOTE_STATES = """
window.states = [];
new MutationObserver(() => window.states.push(document.getElementById("connection").innerText))
  .observe(document.getElementById("connection"), { childList: true, characterData: true, subtree: true });"""


async def two_gateways(launch_gateway: Launch, launch_worker: Launch) -> tuple[ServiceProcess, ServiceProcess]:
    """Two that can take sessions over from one another."""
    first, second = await launch_gateway(), await launch_gateway()
    await launch_worker()
    for gateway in (first, second):
        await became(gateway.port, 200)
    return first, second


async def test_a_gateway_that_is_killed_is_followed_by_another_one(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    first, second = await two_gateways(launch_gateway, launch_worker)
    async with Road.to(first.port) as road:
        await tab.open(f"http://127.0.0.1:{road.port}/", before=NOTE_AUDIO + NOTE_SESSIONS)
        await tab.run(NOTE_STATES)
        await tab.click("record")
        await tab.until(WORDS_IN_FLIGHT)
        await first.stop(signal.SIGKILL)
        road.cut(target=second.port)
        await tab.until(RESUMED)
        assert await tab.until(FIRST_FINAL) == await words_heard(tab)
        await tab.until(f"{CONNECTION} === 'Listening'")
        assert await tab.run("document.getElementById('notice').hidden")
        assert "There is no connection. Reconnecting…" in await tab.run("window.states")
        started, resumed = await tab.run("window.sessions")
        assert started["session"] == resumed["session"]


async def test_a_network_that_is_away_for_a_while_is_told_of_and_costs_no_words(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await became(gateway.port, 200)
    async with Road.to(gateway.port) as road:
        await tab.open(f"http://127.0.0.1:{road.port}/", before=NOTE_AUDIO + NOTE_SESSIONS)
        await tab.click("record")
        await tab.until(WORDS_IN_FLIGHT)
        road.cut(target=None)
        await tab.until(f"{NOTICE} === 'reconnecting'")
        assert await tab.text("connection") == "There is no connection. Reconnecting…"
        road.cut(target=gateway.port)
        await tab.until(RESUMED)
        assert await tab.run("document.getElementById('notice').hidden")
        assert await tab.until(FIRST_FINAL) == await words_heard(tab)
        assert len(await tab.run("window.sessions")) == 2


async def test_a_gateway_that_stops_is_left_for_another_and_one_that_only_stumbles_is_not(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    first, second = await two_gateways(launch_gateway, launch_worker)
    async with Road.to(first.port) as road:
        await tab.open(f"http://127.0.0.1:{road.port}/", before=NOTE_AUDIO + NOTE_SESSIONS)
        await tab.click("record")
        await tab.until(WORDS_IN_FLIGHT)
        first.process.send_signal(signal.SIGSTOP)
        shown = int(await tab.run("Math.floor(performance.now())"))
        await tab.until(f"performance.now() > {shown + 2000}")
        first.process.send_signal(signal.SIGCONT)
        assert await tab.until(FIRST_FINAL) == await words_heard(tab)
        assert await tab.text("connection") == "Listening"
        assert len(await tab.run("window.sessions")) == 1
        first.process.send_signal(signal.SIGSTOP)
        road.target = second.port
        try:
            await tab.until(RESUMED)
        finally:
            first.process.send_signal(signal.SIGCONT)
        await tab.click("record")
        await tab.until(f"{CONNECTION} === 'Ready'")
        assert " ".join(await tab.run(FINALS)) == await words_heard(tab)


async def test_a_gateway_that_drains_is_left_before_it_is_gone(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    first, second = await two_gateways(launch_gateway, launch_worker)
    async with Road.to(first.port) as road:
        await tab.open(f"http://127.0.0.1:{road.port}/", before=NOTE_AUDIO + NOTE_SESSIONS)
        await tab.run(NOTE_STATES)
        await tab.click("record")
        await tab.until(WORDS_IN_FLIGHT)
        road.target = second.port
        first.process.send_signal(signal.SIGTERM)
        await tab.until("window.sessions.length === 2")
        assert await first.process.wait() == 0
        assert await tab.until(FIRST_FINAL) == await words_heard(tab)
        states = await tab.run("window.states")
        assert "Connected; another server takes over soon" in states
        assert [state for state in states if "Reconnecting" in state or "again" in state] == []


async def test_an_answer_goes_on_where_its_gateway_was_killed(
    launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch, tab: Tab
) -> None:
    first, second = await two_gateways(launch_gateway, launch_worker)
    await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW)
    async with Road.to(first.port) as road:
        await tab.open(f"http://127.0.0.1:{road.port}/")
        await tab.click("chat-toggle")
        await ask(tab, LONG.replace("400", "60"))
        await tab.until(f"{ANSWER}.includes('with.2')")
        await first.stop(signal.SIGKILL)
        road.cut(target=second.port)
        await tab.until(f"{REMARK}.includes('tokens')")
        numbers = [int(one) for one in re.findall(r"\.(\d+)", str(await tab.run(ANSWER)))]
        assert numbers == list(range(1, 61))
        await ask(tab, "and again")
        await tab.until("""[...document.querySelectorAll('.turn')].at(-1).innerText.includes('again.')""")


async def test_a_reload_keeps_what_was_shown_and_the_session_goes_on(
    launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch, tab: Tab
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await launch_llm_worker()
    await became(gateway.port, 200)
    await tab.open(f"http://127.0.0.1:{gateway.port}/", before=NOTE_AUDIO + NOTE_SESSIONS)
    await tab.click("chat-toggle")
    await ask(tab, "hello there")
    await tab.until(f"{REMARK}.includes('24 tokens')")
    await tab.click("record")
    final = str(await tab.until(FIRST_FINAL))
    answered = "document.querySelectorAll('.turn[data-who=\"assistant\"] small').length === 2"
    await tab.until(f"{answered} && document.querySelectorAll('.turn')[3].innerText.includes('tokens')")
    turns = "[...document.querySelectorAll('.turn')].map((e) => e.innerText)"
    before = await tab.run(turns)
    (started,) = await tab.run("window.sessions")
    await tab.reload()
    assert await tab.text("connection") == "Ready"
    assert await tab.until(FIRST_FINAL) == final
    assert await tab.run(turns) == before
    await ask(tab, "once more")
    await tab.until(f"{turns}.at(-1).includes('more.')")
    (resumed,) = await tab.run("window.sessions")
    assert (resumed["type"], resumed["session"]) == ("session.resumed", started["session"])
    assert len(await tab.run(turns)) == len(before) + 2
    stored = json.dumps(await tab.run("({ ...sessionStorage, ...localStorage })"))
    assert resumed["resume"]["token"] not in stored


async def test_where_nobody_knows_the_session_a_new_one_is_told_all_that_was_not_stored(
    launch_gateway: Launch, launch_worker: Launch, tab: Tab
) -> None:
    first = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=secret")
    stranger = await launch_gateway(HARKEN_GATEWAY_API_KEYS="other=secret")
    await launch_worker()
    for gateway in (first, stranger):
        await became(gateway.port, 200)
    async with Road.to(first.port) as road:
        await tab.open(f"http://127.0.0.1:{road.port}/", before=NOTE_AUDIO + NOTE_SESSIONS)
        await tab.run("sessionStorage.setItem('harken.key', 'secret')")
        await tab.click("record")
        await tab.until(WORDS_IN_FLIGHT)
        road.cut(target=stranger.port)
        final = str(await tab.until(FIRST_FINAL))
        # The new session counts from where the audio begins that was not stored, so a word may lie across a border.
        assert abs(len(final.split()) - len((await words_heard(tab)).split())) <= 1
        assert await tab.text("connection") == "Listening"
        assert await tab.run("document.getElementById('notice').hidden")
        assert [one["type"] for one in await tab.run("window.sessions")] == ["session.started"] * 2
