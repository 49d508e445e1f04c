"""One client: plays a recording at a pace through a WebSocket and notes what came back when."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.recordings import BYTES_PER_S, NO_LANGUAGE, Recording
from bus.contract import client_protocol as wire
from bus.contract.errors import HarkenError
from clients.sdk import LiveSession, VadOptions, connect

CHUNK_S = 0.1
"""Audio in one frame."""
_T = TypeVar("_T")


@dataclass(slots=True)
class Played:
    """What one session gave.

    Times are seconds of audio time as it was heard: wall time since the session's first sample was spoken, times the
    pace. The clock is read when an event comes out of the SDK.
    """

    events: list[tuple[float, wire.ServerEvent]] = field(default_factory=list)
    error: str = ""
    """Codes of failed segments, or what ended the session before `session.ended`; empty if all went well."""
    session: str = ""
    """As the service calls it; empty if it never opened."""
    began_at: float = 0.0
    """`time.monotonic()` of its first sample."""
    sent_at: list[float] = field(default_factory=list)
    """When each chunk of `CHUNK_S` was given to the SDK, as `events`: late where this machine is busy."""

    @property
    def finals(self) -> list[tuple[float, wire.TranscriptFinal]]:
        """Finals with the time each arrived."""
        return [(at, event) for at, event in self.events if isinstance(event, wire.TranscriptFinal)]

    @property
    def partials(self) -> list[tuple[float, wire.TranscriptPartial]]:
        """Partials with the time each arrived."""
        return [(at, event) for at, event in self.events if isinstance(event, wire.TranscriptPartial)]

    @property
    def text(self) -> str:
        """All finals in order."""
        return " ".join(final.text for _, final in self.finals)


async def play(
    url: str,
    pcm: bytes,
    *,
    speed: float | None,
    language: str | None,
    partials: bool = True,
    prompt: str = "",
    endpoint_s: float | None = None,
    patience_s: float | None = None,
) -> Played:
    """Send `pcm` (16 kHz mono linear16) at `speed` times real time, and collect all events until the session ends.

    `speed` None: as fast as it is taken; then the times mean nothing. `endpoint_s` None: as the service has it.
    Failures end up in `error`, never raised, among them a session that goes on for `patience_s` longer than its audio.
    """
    played = Played()
    vad = VadOptions(endpoint_s=endpoint_s)
    longest_s = None if patience_s is None else len(pcm) / BYTES_PER_S / (speed or 1.0) + patience_s
    try:
        async with (
            asyncio.timeout(longest_s),
            connect(url, language=language, partials=partials, prompt=prompt, vad=vad) as session,
            asyncio.TaskGroup() as tasks,
        ):
            played.session = session.started.session
            played.began_at = began = time.monotonic()
            tasks.create_task(_send(session, pcm, speed, played))
            async for event in session:
                played.events.append(((time.monotonic() - began) * (speed or 1.0), event))
    except* HarkenError as group:
        played.error = ", ".join(type(one).__name__ for one in group.exceptions)
    except* TimeoutError:
        played.error = f"given up {patience_s:g} s after the audio had ended"
    failed = [event.code for _, event in played.events if isinstance(event, wire.TranscriptFailed)]
    played.error = played.error or ", ".join(failed)
    return played


async def play_all(
    url: str,
    recordings: Sequence[Recording],
    *,
    at_once: int,
    speed: float | None,
    stagger_s: float = 0.0,
    name_language: bool = True,
    partials: bool = True,
    endpoint_s: float | None = None,
) -> list[Played]:
    """Play every recording once, `at_once` of them at any time; the results stand in the order of `recordings`.

    Clients start `stagger_s` apart. Without `name_language` the service has to detect it.
    """

    async def one(recording: Recording) -> Played:
        pcm = await asyncio.to_thread(recording.pcm)
        language = recording.language if name_language and recording.language != NO_LANGUAGE else None
        return await play(url, pcm, speed=speed, language=language, partials=partials, endpoint_s=endpoint_s)

    return await each_once(one, recordings, at_once=at_once, stagger_s=stagger_s)


async def each_once(
    play_one: Callable[[Recording], Awaitable[_T]], recordings: Sequence[Recording], *, at_once: int, stagger_s: float
) -> list[_T]:
    """Play every recording, `at_once` of them at any time by clients that start `stagger_s` apart; results in order."""
    results: dict[int, _T] = {}
    waiting = iter(range(len(recordings)))

    async def client(number: int) -> None:
        await asyncio.sleep(number * stagger_s)
        for index in waiting:
            results[index] = await play_one(recordings[index])

    async with asyncio.TaskGroup() as tasks:
        for number in range(at_once):
            tasks.create_task(client(number))
    return [results[index] for index in range(len(recordings))]


async def paced(pcm: bytes, began: float, speed: float | None) -> AsyncIterator[bytes]:
    """Chunks of `pcm`, each once its last sample was spoken by somebody who began at `began`, on time.monotonic().

    The schedule is absolute: delays do not add up. `speed` None: all at once.
    """
    step = int(CHUNK_S * BYTES_PER_S)
    for start in range(0, len(pcm), step):
        chunk = pcm[start : start + step]
        if speed is not None:
            due = began + (start + len(chunk)) / BYTES_PER_S / speed
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        yield chunk


async def _send(session: LiveSession, pcm: bytes, speed: float | None, played: Played) -> None:
    async for chunk in paced(pcm, played.began_at, speed):
        played.sent_at.append((time.monotonic() - played.began_at) * (speed or 1.0))
        await session.send(chunk)
    await session.end()
