"""A session goes on on another socket: whatever becomes of gateway and socket, each word is there once."""

import asyncio
import signal
from typing import Any

import pytest

from bus.contract.records import Record, SegmentFailed, TranscriptFinal
from bus.transport.connection import BusConnection
from tests.integration.broker import watch
from tests.integration.conftest import Launch
from tests.integration.gateway_client import AUDIO_END, figures, speech
from tests.integration.resuming_client import ResumingClient

pytestmark = pytest.mark.weights

_SECOND = 2 * 16_000


async def undisturbed(port: int, audio: bytes, **fields: Any) -> ResumingClient:
    """A session of `audio` in which nothing goes wrong, to its end."""
    client = await ResumingClient.start(port, **fields)
    await client.socket.send(audio)
    await client.socket.send(AUDIO_END)
    await client.until("session.ended")
    return client


async def segments_stored(records: asyncio.Queue[Record], session: str) -> list[int]:
    """Numbers of the segments of a session in the order of the record, as far as it was heard."""
    seen = [records.get_nowait() for _ in range(records.qsize())]
    return [one.segment for one in seen if isinstance(one, TranscriptFinal | SegmentFailed) and one.session == session]


async def test_a_gateway_is_killed_in_the_middle_of_an_utterance_and_another_one_goes_on(
    launch_gateway: Launch, launch_worker: Launch, bus: BusConnection
) -> None:
    first, second, _ = await asyncio.gather(launch_gateway(), launch_gateway(), launch_worker())
    audio = speech(14)
    expected = await undisturbed(second.port, audio)
    assert len(expected.texts) >= 2
    records = await watch(bus)

    client = await ResumingClient.start(first.port)
    await client.socket.send(audio[: 10 * _SECOND])
    await client.until("transcript.final")
    while (await client.until("transcript.partial"))["segment"] < 2:
        pass
    await first.stop(signal.SIGKILL)
    resumed = await client.resume(second.port)

    assert resumed["type"] == "session.resumed", resumed
    assert resumed["session"] == client.opened["session"]
    assert resumed["resume"]["token"] == client.opened["resume"]["token"]
    assert 0 < resumed["audio_offset"] < 10 * 16_000
    await client.socket.send(audio[2 * resumed["audio_offset"] :])
    await client.socket.send(AUDIO_END)
    ended = await client.until("session.ended")
    assert client.texts == expected.texts
    assert ended["segments"] == len(expected.texts)
    assert ended["audio_s"] == pytest.approx(14.0)
    await bus.flush()
    assert await segments_stored(records, client.opened["session"]) == [final["segment"] for final in client.finals]
    assert (await figures(second.port))['harken_gateway_resumes_total{outcome="resumed"}'] == 1
