"""LiveKit's Deepgram plugin, unmodified and without a room: streams a file and tells what it heard.

A script of its own, for the package brings half a gigabyte. Arguments: the port of the service, and a file of 16-bit
mono samples at 16 kHz. Prints one JSON object.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import stt
from livekit.plugins import deepgram

_FRAME_BYTES = 1_600
_WITHIN_S = 60.0


async def listen(port: str, audio: bytes) -> dict[str, Any]:
    """The final texts, and how often each kind of event came."""
    finals: list[str] = []
    counts: dict[str, int] = {}
    async with aiohttp.ClientSession() as http:
        url = f"ws://127.0.0.1:{port}/v1/listen"
        recognizer = deepgram.STT(base_url=url, api_key="any", http_session=http, sample_rate=16_000)
        async with recognizer.stream() as stream:
            for offset in range(0, len(audio), _FRAME_BYTES):
                data = audio[offset : offset + _FRAME_BYTES]
                stream.push_frame(rtc.AudioFrame(data, 16_000, 1, len(data) // 2))
            stream.end_input()
            async for event in stream:
                counts[event.type.value] = counts.get(event.type.value, 0) + 1
                if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                    finals.append(event.alternatives[0].text)
    return {"finals": finals, "counts": counts}


async def main(port: str, audio: bytes) -> None:
    """See the module text."""
    async with asyncio.timeout(_WITHIN_S):
        heard = await listen(port, audio)
    sys.stdout.write(json.dumps(heard))


asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
