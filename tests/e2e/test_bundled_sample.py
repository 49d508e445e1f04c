"""The bundled recording through the whole service: processes, sockets, broker and weights are real."""

import asyncio
import json
import signal
from pathlib import Path

import jiwer
import psutil
import pytest
import soundfile
from whisper_normalizer.english import EnglishTextNormalizer

from bus.contract import client_protocol as wire
from clients.sdk import connect
from tests.e2e.conftest import Stack

SAMPLES = Path(__file__).parents[2] / "samples"
pytestmark = pytest.mark.weights
_CHUNK_SAMPLES = 1600
_MAX_WORD_ERROR_RATE = 0.12


def recording() -> bytes:
    audio, rate_hz = soundfile.read(SAMPLES / "austen.flac", dtype="int16")
    assert rate_hz == 16_000
    return bytes(audio.tobytes())


def utterances() -> list[str]:
    return [one["text"] for one in json.loads((SAMPLES / "austen.json").read_text())["utterances"]]


def word_error_rate(finals: list[wire.TranscriptFinal]) -> float:
    normalise = EnglishTextNormalizer()
    said = normalise(" ".join(utterances()))
    return float(jiwer.wer(said, normalise(" ".join(final.text for final in finals))))


async def transcribe(url: str, pcm: bytes, *, on_event: asyncio.Event | None = None) -> list[wire.ServerEvent]:
    """Send everything as fast as it is taken, and return all events. Sets `on_event` at the first speech."""
    events: list[wire.ServerEvent] = []
    async with connect(url, language="en") as session, asyncio.TaskGroup() as tasks:

        async def send() -> None:
            for start in range(0, len(pcm), 2 * _CHUNK_SAMPLES):
                await session.send(pcm[start : start + 2 * _CHUNK_SAMPLES])
            await session.end()

        tasks.create_task(send())
        async for event in session:
            events.append(event)
            if on_event is not None and isinstance(event, wire.SpeechStarted):
                on_event.set()
    return events


def check_promises(events: list[wire.ServerEvent]) -> list[wire.TranscriptFinal]:
    """What holds for every session; returns its finals."""
    stable: dict[int, str] = {}
    for event in events:
        if isinstance(event, wire.TranscriptPartial):
            assert event.text.startswith(event.stable)
            assert event.stable.startswith(stable.get(event.segment, ""))
            stable[event.segment] = event.stable
    numbers = [event.seq for event in events]
    assert numbers == sorted(set(numbers))  # in order; a reader that lags is shown only the newest partial and commit
    finals = [event for event in events if isinstance(event, wire.TranscriptFinal)]
    assert [final.segment for final in finals] == list(range(1, len(finals) + 1))
    committed = [event.offset for event in events if isinstance(event, wire.AudioCommitted)]
    assert committed == sorted(committed)
    assert isinstance(events[-1], wire.SessionEnded)
    assert committed[-1] == len(recording()) // 2
    return finals


async def test_the_bundled_recording_is_transcribed_and_the_service_stops_cleanly(stack: Stack) -> None:
    children = psutil.Process(stack.process.pid).children(recursive=True)
    finals = check_promises(await transcribe(stack.url, recording()))

    assert len(finals) == len(utterances())
    assert word_error_rate(finals) <= _MAX_WORD_ERROR_RATE
    assert all(final.words for final in finals)
    assert await stack.stop() == 0
    assert not [child for child in children if child.is_running()]


async def test_no_word_is_lost_when_the_worker_is_killed_in_mid_session(stack: Stack) -> None:
    speaking = asyncio.Event()
    running = asyncio.create_task(transcribe(stack.url, recording(), on_event=speaking))
    async with asyncio.timeout(90):
        await speaking.wait()
        worker = next(
            child
            for child in psutil.Process(stack.process.pid).children(recursive=True)
            if "asr_workers" in " ".join(child.cmdline())
        )
        worker.send_signal(signal.SIGKILL)
        events = await running

    finals = check_promises(events)
    assert len(finals) == len(utterances())
    assert word_error_rate(finals) <= _MAX_WORD_ERROR_RATE
