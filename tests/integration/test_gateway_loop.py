"""The socket loop never computes: whatever one client sends, another's ping is answered in between."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.integration.conftest import Launch
from tests.integration.gateway_client import AUDIO_END, keep_events, speech, started

pytestmark = pytest.mark.weights
SILENCE_S = 1_200


def a_long_block() -> bytes:
    """30 s in one frame."""
    return speech(30)


def a_file_that_expands_a_lot() -> bytes:
    """Speech, 20 minutes of silence, speech: 40 MB of samples in a FLAC file that fits into one frame."""
    spoken = np.frombuffer(speech(8), dtype=np.int16)
    file = io.BytesIO()
    silence = np.zeros(16_000 * SILENCE_S, dtype=np.int16)
    soundfile.write(file, np.concatenate([spoken, silence, spoken]), 16_000, format="FLAC")
    return file.getvalue()


@pytest.mark.parametrize(("make", "encoding"), [(a_long_block, "linear16"), (a_file_that_expands_a_lot, "container")])
async def test_a_ping_is_answered_while_the_audio_of_another_socket_is_taken_in(
    launch_gateway: Launch, launch_worker: Launch, make: Callable[[], bytes], encoding: str
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    frame = make()
    assert len(frame) < 2**20
    greedy = await started(gateway.port, audio={"encoding": encoding}, partials=False)
    other = await started(gateway.port)
    events: list[dict[str, Any]] = []
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_events(greedy, events))
        await greedy.send(frame)
        await greedy.send(AUDIO_END)
        async with asyncio.timeout(30):
            while not events:  # the first words are known, so the rest is being taken in
                await (await other.ping())
            await (await other.ping())
        heard_when_answered = utterances(events)

    assert 0 < heard_when_answered < utterances(events)


def utterances(events: list[dict[str, Any]]) -> int:
    return sum(one["type"] == "speech.started" for one in events)
