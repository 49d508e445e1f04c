"""The section of the chat benchmark in which somebody speaks: bundled recordings, whose ends of speech are known."""

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.playback import paced
from benchmarks.recordings import BYTES_PER_S
from benchmarks.report import Row
from benchmarks.scoring import percentile
from benchmarks.service import service
from bus.contract.client_protocol import ChatDelta, ChatFailed, TranscriptFinal
from bus.contract.errors import HarkenError
from clients.cli.media import decode
from clients.sdk import ChatOptions, LiveSession, connect

_SAMPLES = Path(__file__).parents[1] / "samples"
_LEAD_S = 0.5
_TAIL_S = 1.5
_CHAT = ChatOptions(instructions="Answer in one short sentence.", max_tokens=24, temperature=0)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance, with silence around it."""

    pcm: bytes
    end_s: float
    """True end of speech."""


@dataclass(slots=True)
class Answered:
    """What one session heard back; seconds after the true end of speech, NaN for what did not come."""

    final_s: float = float("nan")
    first_s: float = float("nan")
    error: str = ""


async def voice(repeats: int) -> Row:
    """Each utterance in a session of its own, in real time, one after the other."""
    utterances = [*spoken("question"), *spoken("austen")]
    async with service(None) as (url, _):
        done = [await _say(url, one) for _ in range(repeats) for one in utterances]
    return {
        "utterances": len(done),
        **{f"voice to final transcript, p{rank}": percentile([one.final_s for one in done], rank) for rank in (50, 95)},
        **{f"voice to first token, p{rank}": percentile([one.first_s for one in done], rank) for rank in (50, 95)},
        "turns with an error": sum(1 for one in done if one.error),
    }


def spoken(name: str) -> list[Spoken]:
    """The utterances of a bundled recording, cut apart where it pauses."""
    pcm = b"".join(decode(_SAMPLES / f"{name}.flac", channels=1, chunk_bytes=BYTES_PER_S))
    cuts = []
    for one in json.loads((_SAMPLES / f"{name}.json").read_text())["utterances"]:
        start_s = max(0.0, one["start"] - _LEAD_S)
        until_s = one["end"] + _LEAD_S
        silence = bytes(2 * int((_TAIL_S - _LEAD_S) * BYTES_PER_S / 2))
        cuts.append(Spoken(_between(pcm, start_s, until_s) + silence, one["end"] - start_s))
    return cuts


def _between(pcm: bytes, start_s: float, end_s: float) -> bytes:
    return pcm[2 * int(start_s * BYTES_PER_S / 2) : 2 * int(end_s * BYTES_PER_S / 2)]


async def _say(url: str, one: Spoken) -> Answered:
    answered = Answered()
    try:
        async with connect(url, language="en", chat=_CHAT) as session, asyncio.TaskGroup() as tasks:
            began = time.monotonic()
            tasks.create_task(_speak(session, one.pcm, began))
            async for event in session:
                since_s = time.monotonic() - began - one.end_s
                match event:
                    case TranscriptFinal():
                        answered.final_s = since_s
                    case ChatDelta() if answered.first_s != answered.first_s:
                        answered.first_s = since_s
                    case ChatFailed(code=code):
                        answered.error = code
    except* HarkenError as group:
        answered.error = ", ".join(type(error).__name__ for error in group.exceptions)
    return answered


async def _speak(session: LiveSession, pcm: bytes, began: float) -> None:
    async for chunk in paced(pcm, began, 1.0):
        await session.send(chunk)
    await session.end()
