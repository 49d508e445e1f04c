"""One client: plays a recording at a pace through a WebSocket and notes what came back when."""

import asyncio
import time
from dataclasses import dataclass, field

from bus.contract import client_protocol as wire
from bus.contract.errors import HarkenError
from clients.sdk import connect

_CHUNK_S = 0.1
_BYTES_PER_S = 32_000


@dataclass(slots=True)
class Played:
    """What one session gave. Times are seconds of audio time as heard: wall time since its first sample, by pace."""

    events: list[tuple[float, wire.ServerEvent]] = field(default_factory=list)
    error: str = ""

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


async def play(url: str, pcm: bytes, *, speed: float | None, delay_s: float = 0.0, language: str = "en") -> Played:
    """Send `pcm` at `speed` times real time (None: as fast as it is taken) and collect all events."""
    played = Played()
    await asyncio.sleep(delay_s)
    try:
        async with connect(url, language=language) as session, asyncio.TaskGroup() as tasks:
            began = time.monotonic()

            async def send() -> None:
                step = int(_CHUNK_S * _BYTES_PER_S)
                for start in range(0, len(pcm), step):
                    chunk = pcm[start : start + step]
                    if speed is not None:
                        # A chunk can be sent once its last sample was spoken.
                        due = began + (start + len(chunk)) / _BYTES_PER_S / speed
                        await asyncio.sleep(max(0.0, due - time.monotonic()))
                    await session.send(chunk)
                await session.end()

            tasks.create_task(send())
            async for event in session:
                played.events.append(((time.monotonic() - began) * (speed or 1.0), event))
                if isinstance(event, wire.TranscriptFailed):
                    played.error = event.code
    except* HarkenError as group:
        played.error = ", ".join(type(one).__name__ for one in group.exceptions)
    return played
