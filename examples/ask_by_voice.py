"""Ask the assistant something by voice: a recording streams in as if it were spoken now, the answer streams out.

python examples/ask_by_voice.py                        # the bundled question, to a service on this machine
python examples/ask_by_voice.py --url ws://... my.wav

Shows what was heard, the answer as it comes, and how long after the end of speech its first words came. With several
utterances in one recording the next one stops the answer to the one before, as it would in a conversation.
"""

import asyncio
import sys
import time
from datetime import datetime
from pathlib import Path

import click

from bus.contract.client_protocol import (
    ChatCancelled,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ChatStarted,
    TranscriptFinal,
)
from bus.contract.errors import HarkenError
from clients.cli.media import MediaError, decode
from clients.sdk import DEFAULT_URL, ChatOptions, LiveSession, connect

QUESTION = Path(__file__).parents[1] / "samples" / "question.flac"
INSTRUCTIONS = (
    "You are a helpful assistant. It is {now:%H:%M} now. When you are asked for the time, say: The time is {now:%H:%M}."
)
"""The bundled model is a very small one: it knows little but what it is told, here the one thing it is asked for."""
CHUNK_S = 0.1
BYTES_PER_S = 2 * 16_000


class AskFailed(Exception):
    """There is no answer; the text says why."""


@click.command()
@click.argument(
    "recording", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=QUESTION, required=False
)
@click.option("--url", envvar="HARKEN_URL", default=DEFAULT_URL, show_default=True)
def main(recording: Path, url: str) -> None:
    """Stream RECORDING in real time and show the answer."""
    try:
        asyncio.run(ask(url, recording))
    except (AskFailed, MediaError, HarkenError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


async def ask(url: str, recording: Path) -> None:
    """One session: speak the recording, and show what is heard and answered until the session ends."""
    pcm = b"".join(decode(recording, channels=1, chunk_bytes=BYTES_PER_S))
    chat = ChatOptions(instructions=INSTRUCTIONS.format(now=datetime.now()), max_tokens=64, temperature=0)
    async with connect(url, language="en", partials=False, chat=chat) as session:
        began = time.monotonic()
        speaking = asyncio.create_task(speak(session, pcm, began))
        try:
            await show(session, began)
        finally:
            speaking.cancel()
            await asyncio.wait([speaking])


async def speak(session: LiveSession, pcm: bytes, began: float) -> None:
    """Send each chunk once its last sample would have been spoken."""
    step = int(CHUNK_S * BYTES_PER_S)
    for start in range(0, len(pcm), step):
        await asyncio.sleep(max(0.0, began + (start + step) / BYTES_PER_S - time.monotonic()))
        await session.send(pcm[start : start + step])
    await session.end()


async def show(session: LiveSession, began: float) -> None:
    """Print transcripts and answers. Raises AskFailed if nobody answered."""
    speech_ended_at = first_at = None
    is_answered = False
    async for event in session:
        match event:
            case TranscriptFinal():
                print(f"you:       {event.text}", flush=True)
                speech_ended_at = began + event.end_s
            case ChatStarted():
                first_at = None
                print("assistant: ", end="", flush=True)
            case ChatDelta():
                first_at = first_at or time.monotonic()
                print(event.text, end="", flush=True)
            case ChatDone():
                is_answered = True
                print()
                if first_at is not None and speech_ended_at is not None:
                    print(f"\nfirst words of the answer {first_at - speech_ended_at:.2f} s after the end of speech")
            case ChatCancelled():
                print(" ...")
            case ChatFailed():
                print()
                raise AskFailed(f"{event.message} [{event.code}]")
    if not is_answered:
        raise AskFailed("nobody spoke, so there was nothing to answer")


if __name__ == "__main__":
    main()
