"""A model server as small as can be, on a real socket: it answers like the scripted engine, and fails as told.

It looks like vLLM: a model list with its context, /tokenize (a token is a word), and answers that go on after a
trailing assistant's message if they are told to.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from llm_workers.engines.scripted import expected_answer

MODEL = "m"
CONTEXT_TOKENS = 2048
HANG = "scripted:hang"


@dataclass(frozen=True)
class Status:
    """Answer with an error."""

    code: int
    headers: tuple[str, ...] = ()
    body: str = '{"error": {"type": "overloaded", "message": "secret words"}}'


@dataclass(frozen=True)
class HangUp:
    """Close the connection: before the answer, or after so many pieces."""

    after: int | None = None


@dataclass(frozen=True)
class Say:
    """Send this as an event after two pieces."""

    data: str


Fault: TypeAlias = Status | HangUp | Say


@dataclass(eq=False)
class FakeModelServer:
    """What was asked, and what goes wrong next."""

    faults: deque[Fault] = field(default_factory=deque)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    repeats_prefill: bool = False
    owner: str = "vllm"
    port: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client closed its connection in the middle of an answer."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                path, body = await self._read(reader)
                await self._answer(path, body, reader, writer)
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        self.keys.add(headers.get("authorization", ""))
        content = await reader.readexactly(int(headers.get("content-length", "0")))
        return lines[0].split()[1], json.loads(content) if content else {}

    async def _answer(
        self, path: str, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if path == "/v1/models":
            model = {"id": MODEL, "owned_by": self.owner, "max_model_len": CONTEXT_TOKENS}
            _send(writer, 200, json.dumps({"data": [model]}))
        elif path == "/tokenize":
            _send(writer, 200, json.dumps({"count": _count(body["messages"])}))
        elif path == "/v1/chat/completions":
            self.asked.append(body)
            await self._complete(body, reader, writer)
        else:
            _send(writer, 404, "{}")

    async def _complete(self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self.faults.popleft() if self.faults else None
        if fault == HangUp():
            return
        if isinstance(fault, Status):
            return _send(writer, fault.code, fault.body, *fault.headers)
        messages = body["messages"]
        if _count(messages) >= CONTEXT_TOKENS:
            return _send(writer, 400, '{"error": {"code": "context_length_exceeded", "message": "secret words"}}')
        _send(writer, 200, "", "Content-Type: text/event-stream")
        prefill = messages[-1]["content"] if body.get("continue_final_message") else ""
        question = next(message["content"] for message in reversed(messages) if message["role"] == "user")
        tokens = re.findall(" ?[^ ]+", expected_answer(question).removeprefix(prefill))
        allowed = tokens[: body["max_tokens"]]
        gone = asyncio.create_task(reader.read(1))
        if self.repeats_prefill:
            _event(writer, json.dumps({"choices": [{"index": 0, "delta": {"content": prefill}}]}))
        for number, piece in enumerate(allowed):
            if isinstance(fault, HangUp) and fault.after == number:
                break
            if isinstance(fault, Say) and number == 2:
                _event(writer, fault.data)
            _event(writer, json.dumps({"choices": [{"index": 0, "delta": {"content": piece}}]}))
            if number == 2 and HANG in question:
                await gone
                self.left.set()
                return
            await writer.drain()
        else:
            reason = "length" if len(tokens) > len(allowed) else "stop"
            _event(writer, json.dumps({"choices": [{"delta": {}, "finish_reason": reason}]}))
            usage = {"prompt_tokens": _count(messages), "completion_tokens": len(allowed)}
            _event(writer, json.dumps({"choices": [], "usage": usage}))
            _event(writer, "[DONE]")
        gone.cancel()


@asynccontextmanager
async def fake_model_server() -> AsyncIterator[FakeModelServer]:
    """A server on a free port of loopback."""
    fake = FakeModelServer()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()


def _count(messages: list[dict[str, str]]) -> int:
    return sum(1 + len(message["content"].split()) for message in messages)


def _send(writer: asyncio.StreamWriter, status: int, body: str, *headers: str) -> None:
    length = () if any("event-stream" in header for header in headers) else (f"Content-Length: {len(body)}",)
    head = "\r\n".join((f"HTTP/1.1 {status} X", "Connection: close", *length, *headers))
    writer.write(f"{head}\r\n\r\n{body}".encode())


def _event(writer: asyncio.StreamWriter, data: str) -> None:
    writer.write(f"data: {data}\n\n".encode())
