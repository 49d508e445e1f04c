"""The listener: WebSocket upgrades by path, and the few HTTP answers that live on the same port."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from ssl import SSLContext
from typing import Any, cast
from urllib.parse import parse_qs
from uuid import uuid4

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from bus.contract.client_protocol import PATH, Limits
from bus.contract.errors import ClientError, Unauthorized
from stream_gateway.dialects.base import Dialect, Handshake
from stream_gateway.dialects.native import asks_to_resume
from stream_gateway.dialects.refusals import DEEPGRAM_PATH, OPENAI_PATHS, Refusal, spell
from stream_gateway.dialects.table import DIALECTS
from stream_gateway.farewells import Farewells
from stream_gateway.gateway import Gateway
from stream_gateway.listeners import BACKLOG, Listeners, duplicates
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.page import Page
from stream_gateway.policy.keys import presented_key, tenant_for
from stream_gateway.policy.read_ahead import read_ahead_frames
from stream_gateway.policy.subprotocols import echoed, parse_offer
from stream_gateway.session_ids import session_id_of
from stream_gateway.sockets import SocketLimits, Sockets

log = logging.getLogger(__name__)

_ADMISSION = "/v1/admission"
"""Answers over HTTP what an upgrade would be answered: a browser hides from its page why an upgrade was refused."""
_PLAIN_PATHS = ("/", _ADMISSION, "/healthz", "/readyz", "/metrics")

_PING_INTERVAL_S = 5.0
"""Tells clients that the service lives: one that can resume leaves a service that is silent for 12 s. Their pongs are
not waited for: while back-pressure holds a socket unread they queue behind its audio. A client that is gone is found by
its idleness."""
_OPEN_TIMEOUT_S = 10.0
"""For the whole request, however slowly it comes, and its answer; before that for the handshake of TLS."""
_CLOSE_TIMEOUT_S = 2.0
"""A socket whose read queue is full cannot see the client's close frame; it is cut after this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLimits:
    """Largest frames taken, by what is in them."""

    binary_bytes: int
    base64_bytes: int
    """On the paths on which audio comes in text."""

    def on(self, path: str) -> int:
        """The limit on `path`."""
        return self.base64_bytes if path in OPENAI_PATHS else self.binary_bytes


class FrontDoor:
    """Answers what comes before the upgrade, and hands upgraded sockets to the gateway."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        metrics: GatewayMetrics,
        tenants: Mapping[str, str],
        frames: FrameLimits,
        sockets: SocketLimits,
        dialects: Mapping[str, Callable[[Handshake], Dialect]] = DIALECTS,
    ) -> None:
        self._gateway = gateway
        self._metrics = metrics
        self._tenants = tenants
        self._frames = frames
        self.sockets = Sockets(sockets, lambda reason: metrics.dropped.labels("socket", reason).inc())
        self._dialects = dialects
        self._page = Page.installed()
        self._farewells = Farewells()

    async def listen(self, host: str, port: int, *, reuse_port: bool, tls: SSLContext | None = None) -> Listeners:
        """Open the port."""
        first = await self._serve(tls, host=host, port=port, reuse_port=reuse_port)
        return Listeners([first, *[await self._serve(tls, sock=one) for one in duplicates(first.sockets)]])

    def _serve(self, tls: SSLContext | None, **where: Any) -> Server:
        """Compression is declined: audio does not shrink, and inflating costs the loop."""
        return serve(
            self._on_socket,
            **where,
            backlog=BACKLOG,
            process_request=self.answer,
            process_response=_name_request,
            select_subprotocol=lambda _, names: _subprotocol(names),
            create_connection=cast(type[ServerConnection], self.sockets.connection),  # any factory will do
            compression=None,
            max_size=self._frames.binary_bytes,
            max_queue=read_ahead_frames(self._frames.binary_bytes),
            open_timeout=_OPEN_TIMEOUT_S,
            ping_interval=_PING_INTERVAL_S,
            ping_timeout=None,
            close_timeout=_CLOSE_TIMEOUT_S,
            ssl=tls,
            server_header=None,
        )

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a plain HTTP request, refuse an upgrade, or return None to let it happen."""
        path = request.path.partition("?")[0]
        if not _wants_upgrade(request) and (asset := self._page.answer(request.path, request.headers)) is not None:
            return asset
        match path:
            case "/healthz":
                return _text(HTTPStatus.OK, "ok\n")
            case "/readyz":
                reasons = self._gateway.not_ready_because()
                if reasons:
                    return _text(HTTPStatus.SERVICE_UNAVAILABLE, "; ".join(reasons) + "\n")
                return _text(HTTPStatus.OK, "ready\n")
            case "/metrics":
                body = generate_latest(self._metrics.registry)
                return _response(HTTPStatus.OK, body, CONTENT_TYPE_LATEST)
            case _ if path == _ADMISSION:
                refusal = self._refusal(connection, request)
                return _text(HTTPStatus.OK, "admitted\n") if refusal is None else _refused(path, refusal)
            case _ if path in self._dialects:
                return self._admit(connection, request, path)
            case _:
                served = ", ".join(dict.fromkeys((*self._dialects, *_PLAIN_PATHS)))
                message = f"this service answers on {served}"
                return _refused(path, Refusal(status=HTTPStatus.NOT_FOUND, code="not_found", message=message))

    def _admit(self, connection: ServerConnection, request: Request, path: str) -> Response | None:
        refusal = self._refusal(connection, request) if _wants_upgrade(request) else _no_socket(path)
        if refusal is not None:
            return None if self._farewells.admit(connection, path, refusal) else _refused(path, refusal)
        # websockets has one limit for all paths; it looks at it, and at the marks, with each frame.
        limit_bytes, assembler = self._frames.on(path), connection.recv_messages
        connection.protocol.max_message_size = limit_bytes
        assembler.high = read_ahead_frames(limit_bytes)
        assembler.low = assembler.high // 4
        return None

    def _refusal(self, connection: ServerConnection, request: Request) -> Refusal | None:
        """Who may not come in, or not now. Otherwise `connection.username` is the tenant."""
        headers = request.headers
        try:
            key = presented_key(
                request.path,
                authorization=_first(headers, "Authorization"),
                api_key=_first(headers, "api-key"),
                subprotocols=parse_offer(headers.get_all("Sec-WebSocket-Protocol")),
            )
            connection.username = tenant_for(key, self._tenants)
            handshake = _handshake(request, self._gateway.limits)
            if handshake.path in self._dialects:
                self._dialects[handshake.path](handshake).on_open()  # the socket, if it comes to one, gets its own
        except Unauthorized as error:
            self._metrics.refused.labels(error.code).inc()
            return Refusal(status=HTTPStatus.UNAUTHORIZED, code=error.code, message=error.message)
        except ClientError as error:
            return Refusal(status=HTTPStatus.BAD_REQUEST, code=error.code, message=error.message)
        resuming = handshake.path in (PATH, _ADMISSION) and asks_to_resume(handshake.query)
        admission = self._gateway.admission(connection.username, resuming=resuming)
        if admission.admitted:
            return None
        self._metrics.refused.labels(admission.reason).inc()
        return Refusal(
            status=HTTPStatus.SERVICE_UNAVAILABLE,
            code=admission.reason,
            message=admission.message,
            retry_after_s=admission.retry_after_s,
        )

    async def _on_socket(self, connection: ServerConnection) -> None:
        if await self._farewells.tell(connection):
            return
        try:
            assert connection.request is not None
            handshake = _handshake(connection.request, self._gateway.limits)
            await self._gateway.serve(connection, connection.username, self._dialects[handshake.path](handshake))
        except ExceptionGroup as group:
            log.error("connection crashed", extra={"errors": [type(one).__name__ for one in group.exceptions]})
            raise


def _handshake(request: Request, limits: Limits) -> Handshake:
    path, _, query = request.path.partition("?")
    headers = {name.lower(): value for name, value in reversed(list(request.headers.raw_items()))}
    opened_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = parse_qs(query, keep_blank_values=True)
    return Handshake(path=path, query=fields, headers=headers, limits=limits, opened_at=opened_at)


def _name_request(connection: ServerConnection, request: Request, response: Response) -> None:
    """Clients of Deepgram log what an upgrade is answered with, and look for the name that results have too."""
    if request.path.partition("?")[0] == DEEPGRAM_PATH and response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
        response.headers["dg-request-id"] = session_id_of(connection.id)


def _subprotocol(names: Sequence[Subprotocol]) -> Subprotocol | None:
    name = echoed(names)
    return None if name is None else Subprotocol(name)


def _wants_upgrade(request: Request) -> bool:
    return (_first(request.headers, "Upgrade") or "").lower() == "websocket"


def _first(headers: Headers, name: str) -> str | None:
    """Of headers that came twice the first: `Headers.get` would raise, and the client see an internal error."""
    return next(iter(headers.get_all(name)), None)


def _no_socket(path: str) -> Refusal:
    return Refusal(
        status=HTTPStatus.UPGRADE_REQUIRED,
        code="upgrade_required",
        message=f"{path} is a WebSocket: connect with ws:// or wss://, not http:// or https://",
        headers={"Upgrade": "websocket"},
    )


def _refused(path: str, refusal: Refusal) -> Response:
    spelled = spell(path, refusal, str(uuid4()))
    return _response(refusal.status, spelled.body, "application/json", spelled.headers)


def _text(status: HTTPStatus, text: str) -> Response:
    return _response(status, text.encode(), "text/plain; charset=utf-8")


def _response(status: HTTPStatus, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> Response:
    fields = Headers(
        {"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
    )
    return Response(status.value, status.phrase, fields, body)
