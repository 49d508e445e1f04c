"""How the chat benchmark asks: over a real socket, of a stand-in for a model server and of one for the service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.chat_turns import ModelServer, ask_directly, ask_once
from tests.unit.clients.stub_chat import FAIL, ChatScript
from tests.unit.clients.stub_service import StubService

EVENTS = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"Of"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":" course."}}]}\n\n',
    b'data: {"choices":[],"usage":{"completion_tokens":3}}\n\n',
)


@asynccontextmanager
async def model_server(*events: bytes) -> AsyncIterator[tuple[ModelServer, list[bytes]]]:
    """Answers everything with these events; gives it and what it was asked."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].split()[0])
        asked.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in events:
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        writer.write(b"0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield ModelServer(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "secret"), asked


async def test_a_model_server_is_asked_without_harken() -> None:
    async with model_server(*EVENTS, b"data: [DONE]\n\n") as (server, asked):
        turn = await ask_directly(server, "Is it so?", max_tokens=7)
    assert [text for _, text in turn.pieces] == ["Of", " course."]
    assert (turn.tokens, turn.error) == (3, "")
    assert turn.asked_at <= turn.pieces[0][0] <= turn.ended_at
    assert asked[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret\r\n" in asked[0]
    assert b'"max_tokens":7' in asked[0] and b'"Is it so?"' in asked[0]


async def test_an_answer_that_breaks_off_is_an_error() -> None:
    async with model_server(*EVENTS[:2]) as (server, _):
        assert (await ask_directly(server, "Is it so?", max_tokens=7)).error


async def test_harken_is_asked_in_a_session_of_its_own_at_temperature_0() -> None:
    async with StubService(ChatScript()) as service:
        turn = await ask_once(service.url, "hi there", max_tokens=7)
    assert (turn.text, turn.tokens, turn.error) == ("You said: hi there.", 21, "")
    (start,) = service.starts
    assert start.audio is None
    assert start.chat is not None and (start.chat.max_tokens, start.chat.temperature) == (7, 0)


async def test_an_answer_that_failed_is_an_error_with_its_name() -> None:
    async with StubService(ChatScript()) as service:
        turn = await ask_once(service.url, f"{FAIL} this", max_tokens=7)
    assert (turn.text, turn.error) == ("", "ChatFailed")
