"""A session with the first utterance of the bundled recording: enough to see that the service serves."""

from pathlib import Path

import soundfile

from bus.contract.client_protocol import TranscriptFinal
from clients.sdk import connect

_RECORDING = Path(__file__).parents[2] / "samples" / "austen.flac"
_RATE_HZ = 16_000
_END_S = 8.5
"""In the pause after the first utterance."""


async def first_final(url: str) -> tuple[str, TranscriptFinal]:
    """Name of the session, and the one final it gets."""
    audio, _ = soundfile.read(_RECORDING, dtype="int16", frames=int(_END_S * _RATE_HZ))
    async with connect(url, language="en") as session:
        await session.send(audio.tobytes())
        await session.end()
        (final,) = [event async for event in session if isinstance(event, TranscriptFinal)]
    assert "John Dashwood" in final.text
    return session.started.session, final
