import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bus.control import probes
from bus.control.probes import HttpAnswer, free_port, http_get, nats_is_serving, url_host, why_not_free
from bus.runtime.tls import server_context
from tests.certificates import make_pair


@contextlib.asynccontextmanager
async def server_that_says(answer: bytes, *, when_asked: bool = True) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if when_asked:
            await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port: int = server.sockets[0].getsockname()[1]
        yield port


def test_a_port_is_taken_even_if_its_owner_would_share_it() -> None:
    with socket.socket() as owner:
        owner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        assert why_not_free("127.0.0.1", owner.getsockname()[1]) == "Address already in use"


def test_a_free_port_is_free_and_not_one_that_an_outgoing_connection_may_take() -> None:
    port = free_port("127.0.0.1")
    assert why_not_free("127.0.0.1", port) is None
    assert 10_000 <= port < 32_768


def test_where_no_such_port_is_free_the_system_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        taken = owner.getsockname()[1]
        monkeypatch.setattr(probes, "_NEVER_EPHEMERAL", [taken] * 32)
        port = free_port("127.0.0.1")
        assert port != taken
        assert why_not_free("127.0.0.1", port) is None


def test_a_host_that_is_not_ours_is_not_free() -> None:
    assert why_not_free("no-such-host.invalid", 8080) is not None


def test_hosts_are_written_and_reached_as_they_must_be() -> None:
    assert [url_host(h) for h in ("127.0.0.1", "::1")] == ["127.0.0.1", "[::1]"]
    assert [probes.reachable_host(h) for h in ("0.0.0.0", "::", "10.0.0.1")] == ["127.0.0.1", "::1", "10.0.0.1"]


@pytest.mark.parametrize(
    ("greeting", "serving"),
    [
        (b'INFO {"server_id":"x","jetstream":true} \r\n', True),
        (b'INFO {"server_id":"x"} \r\n', False),
        (b"SSH-2.0\r\n", False),
        (b"INFO nonsense\r\n", False),
        (b"", False),
    ],
)
async def test_nats_serves_when_it_greets_with_jetstream(greeting: bytes, serving: bool) -> None:
    async with server_that_says(greeting, when_asked=False) as port:
        assert await nats_is_serving("127.0.0.1", port) is serving


async def test_nobody_there_is_not_serving() -> None:
    port = free_port("127.0.0.1")
    assert not await nats_is_serving("127.0.0.1", port)
    assert (await http_get("127.0.0.1", port, "/")).status == 0


async def test_status_and_body_of_an_answer_are_returned() -> None:
    async with server_that_says(b"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nno worker\n") as port:
        assert await http_get("127.0.0.1", port, "/readyz") == HttpAnswer(503, "no worker")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0 x\r\n", b"220"])
async def test_what_is_not_http_has_status_0(answer: bytes) -> None:
    async with server_that_says(answer) as port:
        assert await http_get("127.0.0.1", port, "/") == HttpAnswer(0, "what answers is not an HTTP server")


async def test_an_answer_that_never_comes_has_status_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_ANSWER_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert (await http_get("127.0.0.1", silent.getsockname()[1], "/")).body == "no answer in time"


async def test_a_server_with_any_certificate_answers_over_tls_and_one_without_does_not(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "elsewhere")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nready\n")
        writer.close()

    tls = server_context(pair.cert, pair.key)
    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls) as server:
        port: int = server.sockets[0].getsockname()[1]
        assert await http_get("127.0.0.1", port, "/readyz", tls=True) == HttpAnswer(200, "ready")
        assert (await http_get("127.0.0.1", port, "/readyz")).status == 0
    async with server_that_says(b"HTTP/1.1 200 OK\r\n\r\n", when_asked=False) as port:
        assert (await http_get("127.0.0.1", port, "/readyz", tls=True)).status == 0
