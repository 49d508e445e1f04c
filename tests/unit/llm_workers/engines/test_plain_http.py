"""The transport on real sockets of loopback: what comes, and which of httpx's errors tells what went wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx2
import pytest

from bus.control.probes import free_port
from llm_workers.engines.model_server import ModelServer
from llm_workers.engines.plain_http import PlainTransport

LONG_S = 1000.0
CHUNKED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Two: a\r\n\r\n"


class Said:
    """A server that says one thing and keeps what it heard."""

    def __init__(self, says: bytes, *, hangs_up: bool) -> None:
        self.says = says
        self.hangs_up = hangs_up
        self.heard = b""
        self.connected = False
        self.left = asyncio.Event()
        """The connection is closed, by the client unless `hangs_up`."""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected = True
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            self.heard = await reader.readuntil(b"\r\n\r\n")
            writer.write(self.says)
            while not self.hangs_up and await reader.read(1000):
                pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self.left.set()


@asynccontextmanager
async def server(says: bytes, *, hangs_up: bool = False) -> AsyncIterator[Said]:
    said = Said(says, hangs_up=hangs_up)
    listening = await asyncio.start_server(said.serve, "127.0.0.1", 0)
    said.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1/x?y=1"
    try:
        yield said
    finally:
        listening.close()
        if said.connected:
            await said.left.wait()


def client(*, read_s: float = LONG_S) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=PlainTransport(), timeout=httpx2.Timeout(LONG_S, read=read_s))


async def test_each_chunk_is_there_when_it_comes_and_leaving_closes_the_connection() -> None:
    async with server(CHUNKED + b"5\r\nhello\r\n") as said, client() as asking:
        async with asking.stream("POST", said.url, json={"a": 1}) as response:
            assert (response.status_code, response.headers["x-two"]) == (200, "a")
            assert await anext(response.aiter_bytes()) == b"hello"
            assert said.heard.startswith(b"POST /v1/x?y=1 HTTP/1.1\r\n")
            assert said.heard.lower().count(b"connection: close\r\n") == 1
        await said.left.wait()


@pytest.mark.parametrize("body", [b"Content-Length: 4\r\n\r\nbody", b"\r\nbody"])
async def test_a_body_ends_where_its_head_says_or_with_the_connection(body: bytes) -> None:
    async with server(b"HTTP/1.1 404 No\r\n" + body, hangs_up=True) as said, client() as asking:
        response = await asking.get(said.url)
        assert (response.status_code, response.content) == (404, b"body")


@pytest.mark.parametrize("says", [b"", b"SSH-2.0\r\n\r\n", CHUNKED + b"5\r\nhe", CHUNKED + b"zz\r\n"])
async def test_who_breaks_off_or_speaks_no_http_is_told_apart_from_an_end(says: bytes) -> None:
    async with server(says, hangs_up=True) as said, client() as asking:
        with pytest.raises(httpx2.RemoteProtocolError):
            await asking.get(said.url)


async def test_a_server_that_falls_silent_is_not_waited_for() -> None:
    async with server(CHUNKED + b"5\r\nhello\r\n") as said, client(read_s=0.01) as asking:
        with pytest.raises(httpx2.ReadTimeout):
            await asking.get(said.url)


async def test_nobody_there_is_an_error_of_connecting() -> None:
    async with client() as asking:
        with pytest.raises(httpx2.ConnectError):
            await asking.get(f"http://127.0.0.1:{free_port('127.0.0.1')}/")


async def test_what_cannot_be_sent_is_refused_before_it_is() -> None:
    async with server(CHUNKED) as said, client() as asking:
        with pytest.raises(httpx2.LocalProtocolError):
            await asking.get(said.url, headers=[(b"Host", b"a\r\nb")])


@pytest.mark.parametrize(
    ("url", "proxy", "is_ours", "is_plain"),
    [
        ("http://h/v1", "", False, True),
        ("http://h/v1", "http://p", False, False),
        ("http://h/v1", "http://p", True, True),
        ("https://h/v1", "", False, False),
    ],
)
async def test_it_is_used_where_there_is_neither_tls_nor_a_proxy(
    url: str, proxy: str, is_ours: bool, is_plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[PlainTransport] = []

    def make() -> PlainTransport:
        made.append(PlainTransport())
        return made[-1]

    monkeypatch.setattr("llm_workers.engines.model_server.PlainTransport", make)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if proxy:
        monkeypatch.setenv("http_proxy", proxy)
    await ModelServer(url, "", is_ours=is_ours).aclose()
    assert bool(made) is is_plain
