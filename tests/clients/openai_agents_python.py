"""openai-agents for Python, unmodified: a typed and a spoken turn, and speech to text in its voice pipeline.

A script of its own, for the package wants an earlier websockets than ours. Arguments: the port of the service, and a
file of 24 kHz PCM. Prints what the client made of it as one JSON object.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from agents.realtime import RealtimeAgent, RealtimeRunner  # type: ignore[import-not-found,unused-ignore]
from agents.voice import OpenAISTTTranscriptionSession, StreamedAudioInput, STTModelSettings  # type: ignore[import-not-found,unused-ignore]
from openai import AsyncOpenAI  # type: ignore[import-not-found,unused-ignore]

_WITHIN_S = 50.0


async def converse(port: str, audio: bytes) -> dict[str, Any]:
    """Say something in both ways; the package parses every event strictly, and tells of what it cannot."""
    settings = {"model_name": "gpt-realtime", "modalities": ["text"]}
    runner = RealtimeRunner(RealtimeAgent(name="a", instructions="be brief"), config={"model_settings": settings})
    url = f"ws://127.0.0.1:{port}/v1/realtime?model=gpt-realtime"
    session = await runner.run(model_config={"url": url, "api_key": "any"})
    history: list[Any] = []
    errors: list[str] = []
    answers = 0
    async with session:
        await session.send_message("hello there")
        async for event in session:
            if event.type == "error":
                errors.append(str(event.error))
            elif event.type == "history_updated":
                history = event.history
            elif event.type == "agent_end":
                answers += 1
                if answers == 2:
                    break
                await session.send_audio(audio)
    texts = [
        [getattr(part, "text", None) or getattr(part, "transcript", None) for part in one.content] for one in history
    ]
    return {"errors": errors, "roles": [one.role for one in history], "texts": texts}


async def listen(port: str, audio: bytes) -> list[str]:
    """Ends its stream with a commit of nothing, and waits for the error that says so."""
    client = AsyncOpenAI(
        api_key="any", base_url=f"http://127.0.0.1:{port}/v1", websocket_base_url=f"ws://127.0.0.1:{port}/v1"
    )
    source = StreamedAudioInput()
    for start in range(0, len(audio), 4800):
        await source.add_audio(np.frombuffer(audio[start : start + 4800], dtype=np.int16))
    await source.add_audio(None)
    session = OpenAISTTTranscriptionSession(
        input=source,
        client=client,
        model="gpt-4o-transcribe",
        settings=STTModelSettings(),
        trace_include_sensitive_data=False,
        trace_include_sensitive_audio_data=False,
    )
    turns = [turn async for turn in session.transcribe_turns()]
    await session.close()
    return turns


async def main(port: str, audio: bytes) -> None:
    async with asyncio.timeout(_WITHIN_S):
        result = {"conversation": await converse(port, audio), "turns": await listen(port, audio)}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
