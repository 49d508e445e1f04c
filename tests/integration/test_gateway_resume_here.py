"""What a gateway does for a session whose socket broke, or that another one takes over."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from bus.contract.records import Record, SegmentFailed, TranscriptFinal
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from tests.integration.broker import watch
from tests.integration.gateway_client import (
    AUDIO_COMMIT,
    AUDIO_END,
    closed_with,
    dial,
    event,
    events_until_closed,
    figures,
    speech,
    started,
)
from tests.integration.gateways_here import OpenGateway, gateway_here, worker_here
from tests.integration.resuming_client import ResumingClient

pytestmark = pytest.mark.weights

_SECOND = 2 * 16_000


@pytest.fixture
def open_gateway(nats_server: EmbeddedNats, silero_path: Path) -> OpenGateway:
    return partial(gateway_here, nats_server.url, silero_path)


@pytest.fixture
async def worker(bus: BusConnection) -> AsyncIterator[asyncio.Event]:
    async with worker_here(bus) as may_work:
        yield may_work


async def finish(client: ResumingClient, audio: bytes, resumed: dict[str, int], sample_bytes: int = 2) -> None:
    """Send what is left of the audio, and wait for the end."""
    await client.socket.send(audio[sample_bytes * resumed["audio_offset"] :])
    await client.socket.send(AUDIO_END)
    await client.until("session.ended")


async def undisturbed(port: int, said: bytes, **fields: Any) -> list[tuple[int, str]]:
    """Channel and text of each segment."""
    client = await ResumingClient.start(port, **fields)
    await client.socket.send(said)
    await client.socket.send(AUDIO_END)
    await client.until("session.ended")
    return heard(client)


def heard(client: ResumingClient) -> list[tuple[int, str]]:
    return sorted((final["channel"], final["text"]) for final in client.finals)


def stored(records: asyncio.Queue[Record], session: str) -> list[int]:
    seen = [records.get_nowait() for _ in range(records.qsize())]
    return [one.segment for one in seen if isinstance(one, TranscriptFinal | SegmentFailed) and one.session == session]


async def test_a_session_whose_socket_broke_goes_on_and_is_taken_up_on_the_same_gateway(
    open_gateway: OpenGateway, worker: asyncio.Event, bus: BusConnection
) -> None:
    async with open_gateway() as port:
        audio = speech(12)
        expected = await undisturbed(port, audio)
        records = await watch(bus)
        client = await ResumingClient.start(port)
        worker.clear()
        await client.socket.send(audio[: 10 * _SECOND])
        await client.until("speech.ended")
        client.socket.transport.abort()
        worker.set()
        async with asyncio.timeout(10):
            final = await records.get()  # decoded and stored while nobody listens
            while not (await figures(port))["harken_gateway_detached_sessions"]:
                pass  # until the gateway has noticed that
        resumed = await client.resume(port)
        assert resumed["type"] == "session.resumed", resumed
        (missed,) = client.finals
        assert isinstance(final, TranscriptFinal) and missed["text"] == final.text
        assert set(missed["times"].values()) == {0.0}
        assert resumed["audio_offset"] >= round(final.until_s * 16_000)
        await finish(client, audio, resumed)
        assert heard(client) == expected
        assert stored(records, client.opened["session"]) == [2]
        seen = await figures(port)
        assert seen["harken_gateway_detached_seconds_count"] == 1


async def test_after_its_grace_a_session_ends_and_goes_on_behind_that_end(
    open_gateway: OpenGateway, worker: asyncio.Event, bus: BusConnection
) -> None:
    async with open_gateway(resume_grace_s=0.2) as port:
        records = await watch(bus)
        client = await ResumingClient.start(port)
        await client.socket.send(speech()[: 4 * _SECOND])
        await client.until("speech.started")
        client.socket.transport.abort()
        async with asyncio.timeout(10):
            final = await records.get()  # ended in the middle of its utterance
        assert isinstance(final, TranscriptFinal) and final.text
        resumed = await client.resume(port)
        assert [missed["segment"] for missed in client.finals] == [1]
        assert resumed["audio_offset"] == round(final.until_s * 16_000)
        await finish(client, speech(), resumed)
        words = [word for text in client.texts for word in text.split()]
        assert words == [f"w{place}" for place in range(int(words[0][1:]), int(words[-1][1:]) + 1)]
        assert len(words) > 12


async def test_a_gateway_lets_go_at_once_of_a_session_that_another_one_takes_over(
    open_gateway: OpenGateway, worker: asyncio.Event, bus: BusConnection
) -> None:
    async with open_gateway() as first, open_gateway() as second:
        expected = await undisturbed(second, speech())
        records = await watch(bus)
        client = await ResumingClient.start(first)
        worker.clear()
        await client.socket.send(speech()[: 5 * _SECOND])
        await client.until("speech.started")
        old = client.socket
        resumed = await client.resume(second)
        *_, taken = await events_until_closed(old)
        assert (taken["code"], taken["fatal"], old.close_code) == ("session_taken", True, 4412)
        worker.set()
        await finish(client, speech(), resumed)
        assert heard(client) == expected
        assert stored(records, client.opened["session"]) == [1]


async def test_only_the_token_of_a_session_takes_it_over_and_only_for_its_tenant(
    open_gateway: OpenGateway, worker: asyncio.Event
) -> None:
    async with open_gateway(api_keys=("acme=k1", "globex=k2")) as port:
        client = await ResumingClient.start(port, path="/v1/stream?token=k1")
        await client.socket.send(speech(1))
        old, refusals = client.socket, []
        for query, fields in (
            ("?token=k1&resume=1", {"token": "wrong"}),
            ("?token=k1&resume=1", {"session": "s0"}),
            ("?token=k1&resume=1", {"session": "../s*"}),
            ("?token=k2&resume=1", {}),
        ):
            refused = await client.resume(port, query=query, **fields)
            refusals.append((refused["code"], refused["message"]))
            assert (await closed_with(client.socket), refused["fatal"]) == (4410, True)
            client.seq -= 1  # it was told in vain
        assert len(set(refusals)) == 1, "a refusal does not say why"

        begun = await dial(port, "/v1/stream?token=k1&resume=1")
        await begun.send(json.dumps({"type": "session.start"}))
        assert (await event(begun, "error"))["code"] == "invalid_message"

        client.socket = old
        await client.socket.send(AUDIO_END)
        await client.until("session.ended")
        assert (await figures(port))['harken_gateway_resumes_total{outcome="cannot_resume"}'] == 4


async def test_two_people_at_44100_hertz_are_both_heard_once(
    open_gateway: OpenGateway, worker: asyncio.Event, bus: BusConnection
) -> None:
    mono = np.frombuffer(speech(12), dtype=np.int16)
    both = np.stack([mono, np.roll(mono, 3 * 16_000)], axis=1).astype(np.float32) / 32768
    audio = (soxr.resample(both, 16_000, 44_100) * 32767).astype("<i2").tobytes()
    format_ = {"encoding": "linear16", "sample_rate": 44_100, "channels": 2, "channel_mode": "separate"}
    async with open_gateway(max_frame_bytes=2**22) as port:
        expected = await undisturbed(port, audio, audio=format_, partials=False)
        records = await watch(bus)
        client = await ResumingClient.start(port, audio=format_, partials=False)
        await client.socket.send(audio[: 4 * 44_100 * 9])
        await client.until("transcript.final")
        client.socket.transport.abort()
        resumed = await client.resume(port)
        assert resumed["sample_rate"] == 44_100
        await finish(client, audio, resumed, sample_bytes=4)
        assert heard(client) == expected
        assert len(expected) >= 3
        assert sorted(stored(records, client.opened["session"])) == list(range(1, len(expected) + 1))


async def test_where_the_client_ends_its_utterances_it_does_so_again_at_the_same_place(
    open_gateway: OpenGateway, worker: asyncio.Event
) -> None:
    async with open_gateway() as port:
        client = await ResumingClient.start(port, vad={"enabled": False})
        await client.socket.send(speech(2))
        await client.socket.send(AUDIO_COMMIT)
        await client.until("audio.committed")
        assert client.committed == 2 * 16_000
        worker.clear()
        await client.socket.send(speech(5)[2 * _SECOND :])
        await client.socket.send(AUDIO_COMMIT)
        await client.until("speech.ended")
        client.socket.transport.abort()
        resumed = await client.resume(port)
        worker.set()
        assert resumed["audio_offset"] == 2 * 16_000
        await client.socket.send(speech(5)[2 * _SECOND :])
        await client.socket.send(AUDIO_COMMIT)
        await client.until("transcript.final")
        assert client.texts == ["w0 w1 w2 w3", "w4 w5 w6 w7 w8 w9"]


async def test_a_socket_that_breaks_after_the_end_of_the_audio_is_told_the_rest_on_another(
    open_gateway: OpenGateway, worker: asyncio.Event, bus: BusConnection
) -> None:
    async with open_gateway() as port:
        expected = await undisturbed(port, speech())
        records = await watch(bus)
        client = await ResumingClient.start(port)
        worker.clear()
        await client.socket.send(speech())
        await client.socket.send(AUDIO_END)
        await client.until("speech.ended")
        client.socket.transport.abort()
        worker.set()
        async with asyncio.timeout(10):
            await records.get()
        resumed = await client.resume(port)
        await finish(client, speech(), resumed)
        assert heard(client) == expected


async def test_a_full_gateway_ends_who_has_been_away_longest_to_make_room(
    open_gateway: OpenGateway, worker: asyncio.Event, bus: BusConnection
) -> None:
    async with open_gateway(max_sessions=1) as port:
        records = await watch(bus)
        client = await ResumingClient.start(port)
        await client.socket.send(speech()[: 4 * _SECOND])
        await client.until("speech.started")
        client.socket.transport.abort()
        async with asyncio.timeout(10):
            while (await figures(port))["harken_gateway_detached_sessions"] == 0:
                pass
        newcomer = await started(port)
        async with asyncio.timeout(10):
            ended = await records.get()
        assert isinstance(ended, TranscriptFinal) and ended.session == client.opened["session"]
        await newcomer.close()
        assert (await client.resume(port))["type"] == "session.resumed"


async def test_a_container_cannot_be_resumed_and_a_closed_session_has_not_lost_its_client(
    open_gateway: OpenGateway, worker: asyncio.Event, bus: BusConnection
) -> None:
    async with open_gateway() as port:
        contained = await ResumingClient.start(port, audio={"encoding": "container"})
        assert contained.opened["resume"] is None
        records = await watch(bus)
        client = await ResumingClient.start(port)
        await client.socket.send(speech()[: 4 * _SECOND])
        await client.until("speech.started")
        await client.socket.close()
        async with asyncio.timeout(10):
            await records.get()  # at once, and not after the grace
