"""Addresses: what is none, and that no message repeats the secrets in one."""

import asyncio
import traceback
from http import HTTPStatus

import pytest
from websockets.http11 import Response

from bus.contract.errors import HarkenError, Overloaded, Unauthorized
from clients.failures import CannotConnect, NotHarken
from clients.sdk import connect
from tests.unit.clients.stub_service import NOBODY, StubService, StubSession, refusal, silent_port

SECRET = "s3cret"
OPEN_TIMEOUT_S = 0.5
PATIENCE_S = 10.0


def with_secrets(url: str) -> str:
    return url.replace("ws://", f"ws://user:{SECRET}@") + f"/v1/stream?token={SECRET}"


async def failure(url: str) -> HarkenError:
    with pytest.raises(HarkenError) as caught:
        async with connect(url, key=SECRET, open_timeout_s=OPEN_TIMEOUT_S):
            pass
    return caught.value


def told(error: BaseException) -> str:
    """All that a log with the traceback would show."""
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    "url",
    [
        "ws://localhost:80O0",
        "ws://localhost:99999",
        "ws://localhost:0",
        "ws://[::1",
        "ws://user@localhost",
        f"ws://user:{SECRET}?x@localhost",
        f"user:{SECRET}@localhost",
        f"ftp://localhost?token={SECRET}",
    ],
)
async def test_what_cannot_be_taken_apart_is_no_address_and_is_not_repeated(url: str) -> None:
    error = await failure(url)
    assert isinstance(error, CannotConnect)
    assert "not one such as ws://" in str(error)
    assert SECRET not in told(error)


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
async def test_a_host_name_that_cannot_exist_is_an_address_without_a_service(host: str) -> None:
    error = await failure(f"ws://{host}/?token={SECRET}")
    assert isinstance(error, CannotConnect)
    assert f"cannot connect to ws://{host}/v1/stream: " in str(error)
    assert SECRET not in told(error)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(HTTPStatus.UNAUTHORIZED, b""), Unauthorized),
        (refusal(HTTPStatus.SERVICE_UNAVAILABLE, b""), Overloaded),
        (refusal(HTTPStatus.SERVICE_UNAVAILABLE, b'{"error":{"code":"\xff"}}'), Overloaded),
        (refusal(HTTPStatus.SERVICE_UNAVAILABLE, b'{"x":' + b"[" * 50_000), Overloaded),
        (refusal(HTTPStatus.NOT_FOUND, b""), NotHarken),
        (refusal(HTTPStatus.OK, b""), NotHarken),
        (refusal(HTTPStatus.FOUND, b"", Location=f"http://elsewhere.invalid/?token={SECRET}"), NotHarken),
        (refusal(HTTPStatus.FOUND, b"", Location=f"?token={SECRET}"), NotHarken),
    ],
)
async def test_a_refusal_names_the_address_without_its_secrets(answer: Response, kind: type[HarkenError]) -> None:
    async with StubService() as service:
        service.refusal, url = answer, service.url
        error = await failure(with_secrets(url))
    assert isinstance(error, kind)
    assert f"{url}/v1/stream" in str(error)
    assert SECRET not in told(error)


async def test_a_service_that_is_not_there_is_named_without_secrets() -> None:
    error = await failure(with_secrets(NOBODY))
    assert f"cannot connect to {NOBODY}/v1/stream: connection refused" in str(error)
    assert SECRET not in told(error)


async def test_a_service_that_does_not_answer_is_named_without_secrets() -> None:
    async with silent_port() as (address, left):
        error = await failure(with_secrets(address))
        await asyncio.wait_for(left.wait(), PATIENCE_S)
    assert "no answer from ws://127.0.0.1:" in str(error)
    assert SECRET not in told(error)


async def test_another_websocket_service_is_reported_without_secrets() -> None:
    async def greet(session: StubSession) -> None:
        await session.socket.send("welcome to the chat")
        await session.socket.wait_closed()

    async with StubService(greet) as service:
        error = await failure(with_secrets(service.url))
    assert isinstance(error, NotHarken)
    assert SECRET not in told(error)


async def test_a_proxy_of_the_environment_that_is_none_is_reported_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", f"ftp://user:{SECRET}@proxy.invalid")
    error = await failure("ws://nowhere.invalid")
    assert isinstance(error, CannotConnect)
    assert "or the proxy's, is not valid" in str(error)
    assert SECRET not in told(error)
