"""One question and its answer, timed as it comes: through Harken, or from the model server without it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from benchmarks.chat_figures import Turn
from bus.contract.client_protocol import ChatDone
from bus.contract.errors import HarkenError
from clients.sdk import NO_AUDIO, ChatOptions, LiveSession, connect

_DATA = b"data: "
_DONE = b"[DONE]"

_INSTRUCTIONS = "You are a helpful assistant."
"""The same both ways: a prompt of another text is computed anew."""


@dataclass(frozen=True, slots=True)
class ModelServer:
    """Who can be asked without Harken: an OpenAI-compatible server."""

    url: str
    """Without a path."""
    api_key: str = field(default="", repr=False)

    @property
    def base_url(self) -> str:
        """Up to and with /v1, as LLM workers want it."""
        return f"{self.url}/v1"


@asynccontextmanager
async def chat_session(url: str, *, max_tokens: int) -> AsyncIterator[LiveSession]:
    """A session of typed turns, answered by always the most probable tokens."""
    options = ChatOptions(instructions=_INSTRUCTIONS, max_tokens=max_tokens, temperature=0)
    async with connect(url, audio=NO_AUDIO, chat=options) as session:
        yield session


async def ask(session: LiveSession, question: str, *, on_piece: Callable[[], None] = lambda: None) -> Turn:
    """Ask and take the whole answer. Failures end up in `error`."""
    answer = session.answer(question)
    pieces: list[tuple[float, str]] = []
    error = ""
    asked_at = time.monotonic()
    try:
        async for piece in answer:
            pieces.append((time.monotonic(), piece))
            on_piece()
    except HarkenError as failure:
        error = type(failure).__name__
    ended_at = time.monotonic()
    tokens = 0
    if isinstance(answer.end, ChatDone):
        tokens = answer.end.usage.completion_tokens
        if answer.end.text != answer.text:
            error = "the whole is not its pieces"
    return Turn(asked_at, tuple(pieces), ended_at, tokens, error)


async def ask_once(url: str, question: str, *, max_tokens: int) -> Turn:
    """Ask in a session of its own, which is open before the clock runs: no earlier turns make the prompt longer."""
    async with chat_session(url, max_tokens=max_tokens) as session:
        return await ask(session, question)


async def ask_directly(server: ModelServer, question: str, *, max_tokens: int) -> Turn:
    """Ask over HTTP, as lean as can be; the clock runs once the connection stands."""
    address = urlsplit(server.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    body = msgspec.json.encode(
        {
            "messages": [
                {"role": "system", "content": _INSTRUCTIONS},
                {"role": "user", "content": question},
            ],
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )
    head = (
        f"POST {address.path}/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n"
        f"Authorization: Bearer {server.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    pieces: list[tuple[float, str]] = []
    tokens = 0
    asked_at = time.monotonic()
    writer.write(head.encode() + body)
    try:
        # Each event is a line of its own; headers and the sizes of chunks are other lines.
        async for line in reader:
            if not line.startswith(_DATA):
                continue
            data = line.removeprefix(_DATA).strip()
            if data == _DONE:
                break
            event = msgspec.json.decode(data)
            texts = [choice["delta"].get("content") for choice in event.get("choices", ())]
            pieces += [(time.monotonic(), text) for text in texts if text]
            if usage := event.get("usage"):
                tokens = usage["completion_tokens"]
        ended_at = time.monotonic()
    finally:
        writer.close()
    return Turn(asked_at, tuple(pieces), ended_at, tokens, "" if tokens else "no end")
