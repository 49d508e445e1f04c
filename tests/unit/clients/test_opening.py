"""How a session opens, and what `connect` raises where it does not."""

import asyncio
from http import HTTPStatus

import pytest

from bus.contract.errors import NoWorker, Overloaded, Unauthorized, UnknownModel
from clients.failures import Busy, CannotConnect, NotHarken
from clients.sdk import connect
from clients.session import Phase
from tests.unit.clients.events import error
from tests.unit.clients.stub_service import NOBODY, StubService, StubSession, refusal, silent_port

PATIENCE_S = 10.0


async def test_the_address_may_leave_out_the_path_and_use_http() -> None:
    async with StubService() as service:
        for url in (service.url, f"{service.url}/v1/stream", service.url.replace("ws:", "http:")):
            async with connect(url) as session:
                assert session.phase is Phase.OPEN


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://127.0.0.1", "ws://", ""])
async def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(CannotConnect, match="such as ws://"):
        async with connect(url):
            pass


async def test_a_service_that_is_not_running_is_named() -> None:
    with pytest.raises(CannotConnect, match="connection refused"):
        async with connect(NOBODY):
            pass


async def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(CannotConnect, match="cannot connect to ws://nowhere.invalid"):
        async with connect("ws://nowhere.invalid:1"):
            pass


async def test_a_refused_key_is_unauthorized() -> None:
    async with StubService() as service:
        service.refusal = refusal(HTTPStatus.UNAUTHORIZED, b'{"error":{"code":"unauthorized","message":"wrong key"}}')
        with pytest.raises(Unauthorized, match="wrong key"):
            async with connect(service.url, key="k"):
                pass


async def test_a_full_service_says_when_to_come_back() -> None:
    async with StubService() as service:
        service.refusal = refusal(
            HTTPStatus.SERVICE_UNAVAILABLE, b'{"error":{"code":"no_worker","message":"no worker"}}', Retry_After="5"
        )
        with pytest.raises(Busy) as caught:
            async with connect(service.url):
                pass
    assert isinstance(caught.value, NoWorker)
    assert caught.value.retry_after_s == 5.0


async def test_a_proxy_that_answers_503_counts_as_overloaded() -> None:
    async with StubService() as service:
        service.refusal = refusal(
            HTTPStatus.SERVICE_UNAVAILABLE, b"<html>", Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"
        )
        with pytest.raises(Overloaded) as caught:
            async with connect(service.url):
                pass
    assert isinstance(caught.value, Busy)
    assert caught.value.retry_after_s is None


async def test_another_path_is_no_harken() -> None:
    async with StubService() as service:
        with pytest.raises(NotHarken, match="HTTP 404"):
            async with connect(f"{service.url}/elsewhere"):
                pass


async def test_a_service_of_another_protocol_is_no_harken() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        with pytest.raises(NotHarken, match="not a WebSocket service"):
            async with connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"):
                pass


async def test_another_websocket_service_is_no_harken() -> None:
    async def greet(session: StubSession) -> None:
        await session.socket.send("welcome to the chat")
        await session.socket.wait_closed()

    async with StubService(greet) as service:
        with pytest.raises(NotHarken, match="protocol v1"):
            async with connect(service.url):
                pass


async def test_a_service_that_does_not_answer_the_start_is_given_up() -> None:
    async def ignore(session: StubSession) -> None:
        await session.socket.wait_closed()

    async with StubService(ignore) as service:
        with pytest.raises(CannotConnect, match="did not open the session within"):
            async with connect(service.url, open_timeout_s=0.05):
                pass


async def test_a_socket_that_nobody_upgrades_is_given_up() -> None:
    async with silent_port() as (address, left):
        with pytest.raises(CannotConnect, match="no answer"):
            async with connect(address, open_timeout_s=0.05):
                pass
        await asyncio.wait_for(left.wait(), PATIENCE_S)


async def test_what_the_service_answers_to_the_start_is_raised() -> None:
    async def refuse(session: StubSession) -> None:
        await session.receive()
        await session.send(error(1, code="unknown_model", fatal=True))
        await session.socket.close(4404)

    async with StubService(refuse) as service:
        with pytest.raises(UnknownModel, match="what went wrong"):
            async with connect(service.url, model="huge"):
                pass


async def test_a_close_before_the_start_is_answered_is_raised() -> None:
    async def close(session: StubSession) -> None:
        await session.receive()
        await session.socket.close(1013, "full")

    async with StubService(close) as service:
        with pytest.raises(Overloaded, match="full"):
            async with connect(service.url):
                pass
