"""The SDK and `harken transcribe` keep a session through whatever becomes of gateways and network."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bus.contract.client_protocol import ChatDone, ChatOptions, SessionEnded, TranscriptFinal, TranscriptPartial
from bus.contract.errors import NoWorker
from bus.control.probes import free_port
from clients.sdk import NO_AUDIO, ConnectionChange, LiveSession, Reconnected, Reconnecting, connect
from llm_workers.engines.scripted import expected_answer
from tests.integration.conftest import Launch, ServiceProcess
from tests.integration.cut_proxy import CutProxy
from tests.integration.gateway_client import figures, speech
from tests.unit.clients.cli.terminal import environment

pytestmark = [pytest.mark.weights, pytest.mark.timeout(180)]

TRANSCRIBE = "from clients.cli.transcribe import transcribe; transcribe()"
SECOND = 2 * 16_000
AUDIO = speech(14)
SPOKEN_BYTES = 11 * SECOND
"""Its second utterance is under way."""


class Changes:
    """What the application hears of its connection."""

    def __init__(self) -> None:
        self.all: list[ConnectionChange] = []
        self._news: asyncio.Queue[ConnectionChange] = asyncio.Queue()

    def __call__(self, change: ConnectionChange) -> None:
        self.all.append(change)
        self._news.put_nowait(change)

    async def next(self) -> ConnectionChange:
        return await self._news.get()


class Speaker:
    """A session of `AUDIO` and what comes of it."""

    def __init__(self, session: LiveSession) -> None:
        self.session = session
        self.texts: list[str] = []
        self.segments: list[int] = []
        self.sent_bytes = 0

    async def speak(self, until_bytes: int) -> None:
        for begin in range(self.sent_bytes, until_bytes, SECOND // 2):
            await self.session.send(AUDIO[begin : min(begin + SECOND // 2, until_bytes)])
        self.sent_bytes = until_bytes

    async def until_final(self) -> None:
        while not isinstance(await self._next(), TranscriptFinal):
            pass

    async def until_second_utterance(self) -> None:
        while not (isinstance(event := await self._next(), TranscriptPartial) and event.segment > 1):
            pass

    async def finish(self) -> None:
        await self.speak(len(AUDIO))
        await self.session.end()
        while not isinstance(await self._next(), SessionEnded):
            pass
        assert self.segments == list(range(1, len(self.segments) + 1))

    async def _next(self) -> object:
        event = await anext(self.session)
        if isinstance(event, TranscriptFinal):
            self.texts.append(event.text)
            self.segments.append(event.segment)
        return event


async def undisturbed(url: str) -> list[str]:
    """The texts of `AUDIO` when nothing happens; waits until the gateway knows its worker."""
    while True:
        with suppress(NoWorker):
            async with connect(url, language="en") as session:
                speaker = Speaker(session)
                await speaker.finish()
                assert len(speaker.texts) >= 2
                return speaker.texts


async def two_on_one_port(launch_gateway: Launch, **settings: str) -> tuple[str, list[ServiceProcess]]:
    port = str(free_port("127.0.0.1"))
    gateways = await asyncio.gather(*(launch_gateway(HARKEN_GATEWAY_PORT=port, **settings) for _ in range(2)))
    return f"ws://127.0.0.1:{port}", list(gateways)


class Owners:
    """Which gateway has which session, by what they log."""

    def __init__(self, gateways: list[ServiceProcess]) -> None:
        self._owners: dict[str, ServiceProcess] = {}
        self._news = asyncio.Event()
        self._followers = [asyncio.create_task(self._follow(gateway)) for gateway in gateways]

    async def stop(self) -> None:
        """Read no more of what they log."""
        for follower in self._followers:
            follower.cancel()
        await asyncio.wait(self._followers)

    async def of(self, session: str) -> ServiceProcess:
        """The one that has this session."""
        while session not in self._owners:
            await self._next()
        return self._owners[session]

    async def of_another(self, known: set[str]) -> ServiceProcess:
        """The one that has a session which is none of these."""
        while not (others := self._owners.keys() - known):
            await self._next()
        return self._owners[others.pop()]

    @property
    def sessions(self) -> set[str]:
        """All that were seen."""
        return set(self._owners)

    async def _next(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def _follow(self, gateway: ServiceProcess) -> None:
        while True:
            self._owners[(await gateway.logged("session opened"))["session"]] = gateway
            self._news.set()


@asynccontextmanager
async def harken_transcribe(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", TRANSCRIBE, *arguments), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment()
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_gateway_of_two_on_one_port_is_killed_under_a_session_and_under_the_command(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    (url, gateways), _ = await asyncio.gather(two_on_one_port(launch_gateway), launch_worker())
    expected = await undisturbed(url)
    owners, changes = Owners(gateways), Changes()
    raw = ("-", "--raw-format", "s16le", "--language", "en", "--url", url)
    async with connect(url, language="en", on_connection=changes) as session:
        speaker = Speaker(session)
        await speaker.speak(SPOKEN_BYTES)
        first = await owners.of(session.started.session)
        known = owners.sessions
        async with harken_transcribe(*raw) as command:
            assert command.stdin is not None
            assert command.stdout is not None
            command.stdin.write(AUDIO[:SPOKEN_BYTES])
            second = await owners.of_another(known)
            first_line = await command.stdout.readline()
            await speaker.until_final()
            await owners.stop()
            if second is not first:
                await launch_gateway(HARKEN_GATEWAY_PORT=url.rpartition(":")[2])
                await second.stop(signal.SIGKILL)
            await first.stop(signal.SIGKILL)
            await speaker.finish()
            out, err = await command.communicate(AUDIO[SPOKEN_BYTES:])
    assert speaker.texts == expected
    assert isinstance(changes.all[0], Reconnecting)
    assert isinstance(changes.all[-1], Reconnected)
    assert command.returncode == 0
    assert (first_line + out).decode().splitlines() == expected
    said = err.decode().splitlines()
    assert said[0] == "stdin: connection lost; reconnecting"
    assert said[1].startswith("stdin: reconnected after ")
    assert said[1].endswith(" s, nothing lost")


async def test_a_network_that_is_cut_stalls_and_stays_away_for_longer_than_a_gateway_waits(
    launch_gateway: Launch, launch_worker: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.silence.RESUMABLE_LIMIT_S", 1.0)
    monkeypatch.setattr("clients.connecting.PING_INTERVAL_S", 0.2)
    gateway, _ = await asyncio.gather(launch_gateway(HARKEN_GATEWAY_RESUME_GRACE_S="0.3"), launch_worker())
    expected = await undisturbed(f"ws://127.0.0.1:{gateway.port}")
    changes = Changes()
    async with CutProxy(gateway.port) as network, connect(network.url, language="en", on_connection=changes) as session:
        speaker = Speaker(session)
        await speaker.speak(6 * SECOND)
        network.cut()
        assert isinstance(await changes.next(), Reconnecting)
        await speaker.speak(8 * SECOND)
        assert isinstance(await changes.next(), Reconnected)
        await speaker.until_final()
        network.stall()
        lost = await changes.next()
        assert isinstance(lost, Reconnecting)
        assert "fell silent" in str(lost.error)
        assert isinstance(await changes.next(), Reconnected)
        await speaker.speak(SPOKEN_BYTES)
        await speaker.until_second_utterance()
        network.is_closed = True
        network.cut()
        await network.refused()
        while (await figures(gateway.port))["harken_gateway_sessions"] > 0:
            await network.refused()
        await speaker.speak(12 * SECOND)
        network.is_closed = False
        await speaker.finish()
    # The gateway that waited in vain ended the utterance there; the words are all the same.
    assert " ".join(speaker.texts) == " ".join(expected)
    assert len(changes.all) == 6


async def test_a_gateway_that_is_stopped_moves_its_sessions_and_nobody_notices(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    (url, gateways), _ = await asyncio.gather(two_on_one_port(launch_gateway), launch_worker())
    expected = await undisturbed(url)
    owners, changes = Owners(gateways), Changes()
    async with connect(url, language="en", on_connection=changes) as session:
        speaker = Speaker(session)
        await speaker.speak(SPOKEN_BYTES)
        await speaker.until_final()
        owner = await owners.of(session.started.session)
        await owners.stop()
        assert await owner.stop(signal.SIGTERM) == 0
        await speaker.finish()
    assert speaker.texts == expected
    assert changes.all == [Reconnected(0.0)]


async def test_an_answer_goes_on_when_its_gateway_is_killed(launch_gateway: Launch, launch_llm_worker: Launch) -> None:
    (url, gateways), _ = await asyncio.gather(
        two_on_one_port(launch_gateway), launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS="tokens_per_s=50")
    )
    turn = "count with me scripted:tokens=100"
    owners, changes = Owners(gateways), Changes()
    async with connect(url, audio=NO_AUDIO, chat=ChatOptions(), on_connection=changes) as session:
        answer = session.answer(turn)
        await anext(answer)
        owner = await owners.of(session.started.session)
        await owners.stop()
        await owner.stop(signal.SIGKILL)
        pieces = [piece async for piece in answer]
        assert isinstance(answer.end, ChatDone)
        assert answer.text == expected_answer(turn)
        assert pieces
        after = session.answer("and then")
        assert "".join([piece async for piece in after]) == expected_answer("and then")
    assert [type(change) for change in changes.all] == [Reconnecting, Reconnected]
