"""Bytes of a stranger up to the upgrade: request line, headers, keys, queries, subprotocols, paths of the page."""

from functools import cache
from typing import cast

from prometheus_client import CollectorRegistry
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from bus.contract.errors import ClientError
from stream_gateway.dialects.table import DIALECTS
from stream_gateway.gateway import Gateway
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.page import Page
from stream_gateway.policy.keys import parse_keys, presented_key
from stream_gateway.policy.subprotocols import echoed, parse_offer
from stream_gateway.server import FrontDoor
from stream_gateway.sockets import SocketLimits
from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target
from tests.integration.front_door import FRAMES, TENANTS, Lobby

_UPGRADE = (
    b"Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
_REQUESTS = (
    b"GET /v1/stream?token=k1 HTTP/1.1\r\n" + _UPGRADE + b"\r\n",
    b"GET /v1/realtime?model=gpt-realtime&intent=transcription HTTP/1.1\r\n"
    + _UPGRADE
    + b"Authorization: Bearer k1\r\nOpenAI-Beta: realtime=v1\r\n\r\n",
    b"GET /v1/realtime?model=m HTTP/1.1\r\n"
    + _UPGRADE
    + b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.k1, openai-beta.realtime-v1\r\n\r\n",
    b"GET /v1/listen?encoding=linear16&sample_rate=16000&endpointing=300 HTTP/1.1\r\n"
    + _UPGRADE
    + b"Authorization: Token k2\r\nSec-WebSocket-Protocol: token, k2\r\n\r\n",
    b"GET /whisperlive?token=k2 HTTP/1.1\r\n" + _UPGRADE + b"api-key: k2\r\n\r\n",
    b'GET /?embed=1 HTTP/1.1\r\nHost: h\r\nIf-None-Match: "a", W/"b"\r\n\r\n',
    b"GET /static/page/../../etc/passwd?embed=1 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /v1/admission?token=k1 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
)
_TOKENS = tuple(
    b"\r\n|\r\n\r\n| |:|,|;|%00|%|?|&|=|//|..|\xff|\xc3\xa9|\x00|/v1/listen|/v1/realtime|token=|Authorization: Bearer |"
    b"Sec-WebSocket-Protocol: |Upgrade: websocket\r\n|callback=1&|encoding=x&|channels=0&".split(b"|")
)


class _Queue:
    """The marks at which a socket is read on or not."""

    high: int | None = None
    low: int | None = None


class _Upgrading:
    """As much of a connection as the front door looks at."""

    def __init__(self) -> None:
        self.username = ""
        self.recv_messages = _Queue()
        self.protocol = ServerProtocol()


@cache
def _door() -> FrontDoor:
    metrics = GatewayMetrics(CollectorRegistry())
    return FrontDoor(
        cast(Gateway, Lobby()),
        metrics=metrics,
        tenants=TENANTS,
        frames=FRAMES,
        sockets=SocketLimits(),
        dialects=DIALECTS,
    )


def _answered(request: Request) -> None:
    """A response that a client can read, or an upgrade that is the one of a tenant."""
    connection = _Upgrading()
    response = _door().answer(cast(ServerConnection, connection), request)
    if response is None:
        assert connection.username in TENANTS.values()
        offered = [name for value in request.headers.get_all("Sec-WebSocket-Protocol") for name in value.split(",")]
        assert echoed([name.strip() for name in offered]) not in TENANTS, "a key is sent back"
        return
    lines = response.serialize().partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert len(lines) == 1 + len(list(response.headers.raw_items())), "a header with a line of its own in it"
    assert 200 <= response.status_code < 600
    assert response.status_code != 500
    assert int(response.headers["Content-Length"]) == len(response.body or b"")


def _request(data: bytes) -> None:
    protocol = ServerProtocol()
    protocol.receive_data(data)
    for event in protocol.events_received():
        if isinstance(event, Request):
            _answered(event)


def _page(data: bytes) -> None:
    path = data.decode(errors="surrogateescape")
    headers = Headers()
    headers.set_insecure("If-None-Match", path.partition("?")[2])
    response = _installed().answer(path, headers)
    assert response is None or response.status_code in (200, 304)


@cache
def _installed() -> Page:
    return Page.installed()


def _keys(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    tenants = parse_keys(tuple(text.split("\n")))
    assert all(tenants)


def _presented(data: bytes) -> None:
    """Headers are read as ISO-8859-1, which stands for any bytes."""
    path, authorization, api_key, offer = (data.decode("iso-8859-1").split("\n") + [""] * 4)[:4]
    key = presented_key(path, authorization=authorization, api_key=api_key, subprotocols=parse_offer([offer or "x"]))
    assert key is None or isinstance(key, str)


TARGETS = (
    Target("front_door.request", mutated(_REQUESTS, tokens=_TOKENS), _request),
    Target(
        "front_door.page",
        mutated([b"/static/page/index.html?embed=1", b"/", b"/static/sdk/session.js?x=%ff"], tokens=_TOKENS),
        _page,
    ),
    Target(
        "front_door.keys",
        mutated([b"acme=k1\nglobex=k2=x", b"a-b_1=\xc3\xa9"], tokens=(b"=", b"\n", b".", b"*", b"\xff")),
        _keys,
        (ValueError,),
    ),
    Target(
        "front_door.presented_key",
        mutated(
            [b"/v1/stream?token=k1\nBearer k1\nk1\ntoken, k1", b"/?a=1&token=%E2%82%AC\nTOKEN  k\n\nbearer,k,realtime"],
            tokens=_TOKENS,
        ),
        _presented,
        (ClientError,),
    ),
)
