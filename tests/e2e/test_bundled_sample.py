"""The bundled recording through the whole service: processes, sockets, broker and weights are real."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import jiwer
import nats
import psutil
import pytest
import soundfile
from whisper_normalizer.english import EnglishTextNormalizer

from bus.contract import client_protocol as wire
from bus.contract import records, subjects
from bus.transport.connection import BusConnection
from clients.sdk import LiveSession, connect
from tests.e2e.conftest import Stack
from tests.integration.broker import is_decoding, unacknowledged_finals

SAMPLES = Path(__file__).parents[2] / "samples"
MAX_WORD_ERROR_RATE = 0.12
pytestmark = pytest.mark.weights
_CHUNK_BYTES = 3200
_normalise = EnglishTextNormalizer()


def recording() -> bytes:
    audio, rate_hz = soundfile.read(SAMPLES / "austen.flac", dtype="int16")
    assert rate_hz == 16_000
    return bytes(audio.tobytes())


def utterances() -> list[str]:
    return [one["text"] for one in _described()]


def middles() -> list[int]:
    """Bytes of the recording up to the middle of each utterance."""
    return [2 * int(16_000 * (one["start"] + one["end"]) / 2) for one in _described()]


def _described() -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = json.loads((SAMPLES / "austen.json").read_text())["utterances"]
    return described


def word_error_rate(texts: Sequence[str]) -> float:
    """Of the recording's transcript, given in parts."""
    return float(jiwer.wer(_normalise(" ".join(utterances())), _normalise(" ".join(texts))))


class Session:
    """One session that keeps all events. It says half of each utterance, looks for its text, and goes on."""

    def __init__(self) -> None:
        self.id = ""
        self.events: list[wire.ServerEvent] = []
        self._is_seen: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)

    async def run(self, url: str) -> None:
        """Return after `session.ended`."""
        async with connect(url, language="en") as session, asyncio.TaskGroup() as tasks:
            self.id = session.started.session
            tasks.create_task(self._speak(session))
            async for event in session:
                self.events.append(event)
                if isinstance(event, wire.TranscriptPartial) and event.text:
                    self._is_seen[event.segment].set()

    async def _speak(self, session: LiveSession) -> None:
        pcm, sent = recording(), 0
        for segment, middle in enumerate(middles(), 1):
            await _send(session, pcm[sent:middle])
            sent = middle
            await self._is_seen[segment].wait()
        await _send(session, pcm[sent:])
        await session.end()

    @property
    def finals(self) -> list[wire.TranscriptFinal]:
        return [event for event in self.events if isinstance(event, wire.TranscriptFinal)]


async def _send(session: LiveSession, pcm: bytes) -> None:
    for start in range(0, len(pcm), _CHUNK_BYTES):
        await session.send(pcm[start : start + _CHUNK_BYTES])


def check_promises(session: Session) -> None:
    """What holds for every session that ended well."""
    events = session.events
    numbers = [event.seq for event in events]
    assert numbers == sorted(set(numbers))  # in order; a reader that lags is shown only the newest partial and commit
    stable: dict[int, str] = {}
    for event in events:
        if isinstance(event, wire.TranscriptPartial):
            assert event.text.startswith(event.stable)
            assert event.stable.startswith(stable.get(event.segment, ""))
            stable[event.segment] = event.stable
    assert [final.segment for final in session.finals] == list(range(1, len(session.finals) + 1))
    for final in session.finals:
        parts = [type(event) for event in events if getattr(event, "segment", None) == final.segment]
        shown = parts.count(wire.TranscriptPartial)
        assert shown
        partials = [wire.TranscriptPartial] * shown
        assert parts == [wire.SpeechStarted, *partials, wire.SpeechEnded, wire.TranscriptFinal]
    committed = [event.offset for event in events if isinstance(event, wire.AudioCommitted)]
    assert committed == sorted(committed)
    assert committed[-1] == len(recording()) // 2
    assert isinstance(events[-1], wire.SessionEnded)
    assert events[-1].segments == len(session.finals)


async def stored(nats_url: str, session: str) -> list[records.Record]:
    """All records of a session, read as a downstream app reads them."""
    subject = subjects.transcripts("default", session)
    bus = await nats.connect(nats_url)
    try:
        stream = bus.jetstream()
        info = await stream.stream_info(subjects.STREAM_TRANSCRIPTS, subjects_filter=subject)
        found = []
        seq = 0
        for _ in range((info.state.subjects or {}).get(subject, 0)):
            message = await stream.get_msg(
                subjects.STREAM_TRANSCRIPTS, seq=seq + 1, subject=subject, direct=True, next=True
            )
            assert message.data is not None and message.seq is not None
            seq = message.seq
            found.append(records.decode_record(message.data))
        return found
    finally:
        await bus.close()


async def test_the_bundled_recording_is_transcribed_and_stored_and_the_service_stops_cleanly(stack: Stack) -> None:
    children = psutil.Process(stack.process.pid).children(recursive=True)
    session = Session()
    await session.run(stack.url)

    check_promises(session)
    assert len(session.finals) == len(utterances())
    assert word_error_rate([final.text for final in session.finals]) <= MAX_WORD_ERROR_RATE
    assert all(final.words for final in session.finals)
    assert [_contents(record) for record in await stored(stack.nats_url, session.id)] == [
        _contents(final) for final in session.finals
    ]
    assert await stack.stop() == 0
    assert not [child for child in children if child.is_running()]


def _contents(one: records.Record | wire.TranscriptFinal) -> tuple[object, ...]:
    assert isinstance(one, records.TranscriptFinal | wire.TranscriptFinal)
    return (one.segment, one.channel, one.start_s, one.end_s, one.text, one.language, one.words)


async def test_no_word_is_lost_when_the_worker_is_killed_while_it_decodes_a_final(stack: Stack) -> None:
    session = Session()
    bus = await BusConnection.connect(stack.nats_url, name="test", inbox_prefix="_INBOX_test")
    async with aclosing(bus), asyncio.timeout(90), asyncio.TaskGroup() as tasks:
        tasks.create_task(session.run(stack.url))
        await is_decoding(bus)
        worker = stack.child("asr_workers")
        worker.kill()
        await asyncio.to_thread(worker.wait)
        assert await unacknowledged_finals(bus) > 0, "the worker had answered before it died"

    check_promises(session)
    assert len(session.finals) == len(utterances())
    assert word_error_rate([final.text for final in session.finals]) <= MAX_WORD_ERROR_RATE
    assert len(await stored(stack.nats_url, session.id)) == len(session.finals)
