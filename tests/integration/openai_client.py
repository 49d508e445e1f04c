"""A client of the OpenAI dialect that speaks the wire by hand, and holds every event to the rules that all share."""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import soxr
from websockets.asyncio.client import ClientConnection, connect

from tests.integration.gateway_client import speech
from tests.openai_models import check_strictly

_WITHIN_S = 30.0
RATE_HZ = 24_000
MAY_BE_NULL = ("previous_item_id", "turn_detection", "transcript")
TRANSCRIPTION = "conversation.item.input_audio_transcription"
MANUAL = {"audio": {"input": {"turn_detection": None}}}


def speech_24k(seconds: int = 8) -> bytes:
    """The beginning of the bundled recording, as these clients send it."""
    samples = np.frombuffer(speech(seconds), dtype=np.int16)
    return bytes(soxr.resample(samples, 16_000, RATE_HZ).tobytes())


def encoded(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


def nulls(value: object, at: str = "") -> list[str]:
    """Where a value is null that clients cannot bear."""
    if isinstance(value, dict):
        return [place for name, inner in value.items() if name not in MAY_BE_NULL for place in nulls(inner, name)]
    if isinstance(value, list):
        return [place for inner in value for place in nulls(inner, at)]
    return [at] if value is None else []


class RealtimeClient:
    """All that came so far is in `events`."""

    def __init__(self, socket: ClientConnection, *, is_beta: bool = False) -> None:
        self.socket = socket
        self._is_beta = is_beta
        self.events: list[dict[str, Any]] = []

    @classmethod
    async def dial(
        cls,
        port: int,
        query: str = "model=gpt-realtime",
        *,
        path: str = "/v1/realtime",
        headers: Mapping[str, str] = {},
    ) -> Self:
        url = f"ws://127.0.0.1:{port}{path}?{query}"
        socket = await connect(url, max_size=None, compression=None, additional_headers=dict(headers))
        return cls(socket, is_beta="OpenAI-Beta" in headers)

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def update(self, **session: Any) -> dict[str, Any]:
        await self.send("session.update", session=session)
        effective: dict[str, Any] = (await self.event("session.updated"))["session"]
        return effective

    async def append(self, audio: bytes) -> None:
        await self.send("input_audio_buffer.append", audio=encoded(audio))

    async def say(self, text: str, **fields: Any) -> None:
        content = [{"type": "input_text", "text": text}]
        await self.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content, **fields}
        )

    async def event(self, kind: str) -> dict[str, Any]:
        """The next event of this type."""
        async with asyncio.timeout(_WITHIN_S):
            while True:
                event: dict[str, Any] = json.loads(await self.socket.recv())
                assert not nulls(event), event
                if not self._is_beta:
                    check_strictly(event)
                assert event["event_id"] not in {one["event_id"] for one in self.events}
                self.events.append(event)
                if event["type"] == kind:
                    return event

    def kinds(self, *, since: str | None = None) -> list[str]:
        """Types of what came, without repeats of deltas; from the newest event of a type on."""
        kinds = [event["type"] for event in self.events]
        if since is not None:
            kinds = kinds[len(kinds) - 1 - kinds[::-1].index(since) :]
        return [kind for index, kind in enumerate(kinds) if not (index and kind == kinds[index - 1])]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]
