"""One client of a run: plays its plan through the SDK, and keeps all that it sees and when."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bus.contract import client_protocol as wire
from bus.contract.errors import HarkenError
from clients.sdk import (
    NO_AUDIO,
    AudioFormat,
    ChatOptions,
    ConnectionChange,
    LiveSession,
    Reconnected,
    VadOptions,
    connect,
)
from tests.chaos.plans import SessionPlan
from tests.chaos.recording import SAMPLE_RATE_HZ

_CHUNK_S = 0.1
ENDPOINT_S = 0.5


@dataclass(slots=True)
class Seen:
    """What one session gave. Moments are `time.monotonic()`."""

    plan: SessionPlan
    pace: float
    session: str = ""
    events: list[tuple[float, wire.ServerEvent]] = field(default_factory=list)
    error: str = ""
    """What ended the session before `session.ended`: a class, and an error's own text. Empty if all went well."""
    began_at: float = 0.0
    """Its first sample was spoken."""
    ended_at: float = 0.0
    """It said that nothing more comes."""
    asked_at: list[float] = field(default_factory=list)
    """Its typed turns."""
    missed_events: int = 0
    """Gaps in the numbers of its events."""
    away: list[tuple[float, float]] = field(default_factory=list)
    """When its connection was back, and how long it had none, in seconds."""

    @property
    def finals(self) -> list[tuple[float, wire.TranscriptFinal]]:
        """With the moment each arrived."""
        return [(at, event) for at, event in self.events if isinstance(event, wire.TranscriptFinal)]

    def spoken_at(self, audio_s: float) -> float:
        """When this moment of the audio was due to be sent."""
        return self.began_at + audio_s / self.pace


async def play(
    urls: Sequence[str], plan: SessionPlan, opened: asyncio.Event, *, pace: float, patience_s: float
) -> Seen:
    """Play `plan` at `pace` times real time; never raises. `patience_s` is what it may take beyond its length.

    `opened` is set once the session is open, or will not be.
    """
    seen = Seen(plan, pace)
    longest_s = max((one.duration_s for one in plan.channels), default=0.0) / pace + patience_s
    try:
        async with asyncio.timeout(longest_s):
            await asyncio.sleep(plan.starts_after_s)
            await _session(urls, plan, seen, opened)
    except* TimeoutError:
        seen.error = seen.error or f"stuck: not over {patience_s:g} s after the end of its audio"
    except* HarkenError as group:
        seen.error = "; ".join(f"{type(one).__name__}: {one}" for one in group.exceptions)
    finally:
        opened.set()
    return seen


async def _session(urls: Sequence[str], plan: SessionPlan, seen: Seen, opened: asyncio.Event) -> None:
    audio: AudioFormat | None = None
    if len(plan.channels) == 2:
        audio = AudioFormat(channels=2, channel_mode="separate")
    first = plan.number % len(urls)

    def on_connection(change: ConnectionChange) -> None:
        if isinstance(change, Reconnected):
            seen.away.append((time.monotonic(), change.away_s))

    chat = ChatOptions(auto=True) if plan.kind.endswith("chat") else None
    async with (
        connect(
            [*urls[first:], *urls[:first]],
            audio=audio if plan.channels else NO_AUDIO,
            chat=chat,
            language="en",
            hotwords=plan.hotwords,
            vad=VadOptions(enabled=False) if plan.kind == "manual" else VadOptions(endpoint_s=ENDPOINT_S),
            partials=plan.kind != "finals_only",
            on_connection=on_connection,
        ) as session,
        asyncio.TaskGroup() as tasks,
    ):
        seen.session = session.started.session
        seen.began_at = time.monotonic()
        opened.set()
        answers = _Answers()
        tasks.create_task(_type(session, plan, seen, answers) if plan.turns else _speak(session, plan, seen))
        async for event in session:
            seen.events.append((time.monotonic(), event))
            answers.on_event(event)
        seen.missed_events = session._machine.missed_events


class _Answers:
    """Counts the answers that are over."""

    def __init__(self) -> None:
        self._over = 0
        self._changed = asyncio.Event()

    def on_event(self, event: wire.ServerEvent) -> None:
        """Take an event of the session."""
        if isinstance(event, wire.ChatDone | wire.ChatFailed | wire.ChatCancelled):
            self._over += 1
            self._changed.set()

    async def until_over(self, answers: int) -> None:
        """Return once so many are."""
        while self._over < answers:
            self._changed.clear()
            await self._changed.wait()


async def _type(session: LiveSession, plan: SessionPlan, seen: Seen, answers: _Answers) -> None:
    for number, text in enumerate(plan.turns, 1):
        seen.asked_at.append(time.monotonic())
        await session.say(text)
        await answers.until_over(number)
    seen.ended_at = time.monotonic()
    await session.end()


async def _speak(session: LiveSession, plan: SessionPlan, seen: Seen) -> None:
    """Send the audio when it is due. The schedule is absolute: delays do not add up."""
    pcm = plan.pcm
    frame_bytes = 2 * len(plan.channels)
    step = int(_CHUNK_S * SAMPLE_RATE_HZ)
    commits = set(plan.channels[0].pauses) if plan.kind == "manual" else set()
    frames = len(pcm) // frame_bytes
    cuts = sorted({*range(0, frames, step), *(at for at in commits if at <= frames), frames})
    for start, end in zip(cuts, cuts[1:], strict=False):
        await asyncio.sleep(max(0.0, seen.spoken_at(end / SAMPLE_RATE_HZ) - time.monotonic()))
        await session.send(pcm[start * frame_bytes : end * frame_bytes])
        if end in commits:
            await session.commit()
    seen.ended_at = time.monotonic()
    await session.end()
