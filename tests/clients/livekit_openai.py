"""LiveKit's plugins for OpenAI, unmodified and without a room: speech to text, and its realtime model in text.

A script of its own, for the environment is a large one. Arguments: the port of the service, and a file of 24 kHz PCM.
Prints what the client made of it as one JSON object.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from livekit import rtc  # type: ignore[import-not-found,unused-ignore]
from livekit.agents import llm, stt  # type: ignore[import-not-found,unused-ignore]
from livekit.agents.utils import http_context  # type: ignore[import-not-found,unused-ignore]
from livekit.plugins import openai  # type: ignore[import-not-found,unused-ignore]

_WITHIN_S = 50.0
_CHUNK_BYTES = 4800


async def listen(port: str, audio: bytes) -> dict[str, Any]:
    """Speak twice, the second time in a language that was changed on the open stream.

    Any `error` event ends this client's stream.
    """
    plugin = openai.STT(base_url=f"ws://127.0.0.1:{port}/v1", api_key="any", use_realtime=True)
    stream = plugin.stream()
    kinds: list[str] = []
    texts: list[str] = []
    for language in ("en", "de"):
        stream.update_options(language=language)
        for start in range(0, len(audio), _CHUNK_BYTES):
            chunk = audio[start : start + _CHUNK_BYTES]
            frame = rtc.AudioFrame(chunk, sample_rate=24_000, num_channels=1, samples_per_channel=len(chunk) // 2)
            stream.push_frame(frame)
        async for event in stream:
            kinds.append(event.type.value)
            if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                texts.append(event.alternatives[0].text)
                break
    await stream.aclose()
    return {"kinds": kinds, "texts": texts}


async def converse(port: str) -> dict[str, Any]:
    """Finds its reply by the metadata that it sent."""
    model = openai.realtime.RealtimeModel(base_url=f"http://127.0.0.1:{port}/v1", api_key="any", modalities=["text"])
    session = model.session()
    errors: list[str] = []
    session.on("error", lambda error: errors.append(str(error)))
    await session.update_instructions("be brief")
    context = llm.ChatContext()
    context.add_message(role="user", content="hello there")
    await session.update_chat_ctx(context)
    generation = await session.generate_reply()
    text = ""
    async for message in generation.message_stream:
        async for piece in message.text_stream:
            text += piece
    await session.aclose()
    return {"errors": errors, "text": text}


async def main(port: str, audio: bytes) -> None:
    async with asyncio.timeout(_WITHIN_S), http_context.open():
        result = {"conversation": await converse(port), "listened": await listen(port, audio)}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
