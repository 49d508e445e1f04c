"""The listener: WebSocket upgrades by path, and the few HTTP answers that live on the same port."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qs

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from bus.contract.client_protocol import Limits
from bus.contract.errors import Unauthorized
from stream_gateway.dialects.base import Handshake
from stream_gateway.dialects.table import DIALECTS
from stream_gateway.gateway import Gateway
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.page import Page
from stream_gateway.policy.keys import presented_key, tenant_for

log = logging.getLogger(__name__)

_ADMISSION = "/v1/admission"
"""Answers over HTTP what an upgrade would be answered: a browser hides from its page why an upgrade was refused."""
_PATHS = ("/", *DIALECTS, _ADMISSION, "/healthz", "/readyz", "/metrics")
_READ_AHEAD_FRAMES = 8
"""Frames that websockets holds before it stops reading the socket: the bound of what a flood can occupy."""

_PING_INTERVAL_S = 20.0
"""Tells clients that the service lives. Their pongs are not waited for: while back-pressure holds a socket unread they
queue behind its audio. A client that is gone is found by its idleness."""
_CLOSE_TIMEOUT_S = 2.0
"""A socket whose read queue is full cannot see the client's close frame; it is cut after this long."""


class FrontDoor:
    """Answers what comes before the upgrade, and hands upgraded sockets to the gateway."""

    def __init__(self, gateway: Gateway, *, metrics: GatewayMetrics, tenants: Mapping[str, str]) -> None:
        self._gateway = gateway
        self._metrics = metrics
        self._tenants = tenants
        self._page = Page.installed()

    async def listen(self, host: str, port: int, *, max_frame_bytes: int, reuse_port: bool) -> Server:
        """Open the port. Compression is declined: audio does not shrink, and inflating costs the loop."""
        return await serve(
            self._on_socket,
            host,
            port,
            process_request=self.answer,
            compression=None,
            max_size=max_frame_bytes,
            max_queue=_READ_AHEAD_FRAMES,
            ping_interval=_PING_INTERVAL_S,
            ping_timeout=None,
            close_timeout=_CLOSE_TIMEOUT_S,
            reuse_port=reuse_port,
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
                return self._admit(connection, request, path) or _text(HTTPStatus.OK, "admitted\n")
            case _ if path in DIALECTS:
                return self._admit(connection, request, path)
            case _:
                return _error(HTTPStatus.NOT_FOUND, "not_found", f"this service answers on {', '.join(_PATHS)}")

    def _admit(self, connection: ServerConnection, request: Request, path: str) -> Response | None:
        if path != _ADMISSION and not _wants_upgrade(request):
            message = f"{path} is a WebSocket: connect with ws://, not http://"
            return _error(HTTPStatus.UPGRADE_REQUIRED, "upgrade_required", message, {"Upgrade": "websocket"})
        try:
            tenant = tenant_for(presented_key(request.path, _first(request.headers, "Authorization")), self._tenants)
        except Unauthorized as error:
            self._metrics.refused.labels(error.code).inc()
            return _error(HTTPStatus.UNAUTHORIZED, error.code, error.message)
        admission = self._gateway.admission()
        if not admission.admitted:
            self._metrics.refused.labels(admission.reason).inc()
            headers = {"Retry-After": str(admission.retry_after_s)}
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, admission.reason, admission.message, headers)
        connection.username = tenant
        return None

    async def _on_socket(self, socket: ServerConnection) -> None:
        try:
            assert socket.request is not None
            handshake = _handshake(socket.request, self._gateway.limits)
            await self._gateway.serve(socket, socket.username, DIALECTS[handshake.path](handshake))
        except ExceptionGroup as group:
            log.error("connection crashed", extra={"errors": [type(one).__name__ for one in group.exceptions]})
            raise


def _handshake(request: Request, limits: Limits) -> Handshake:
    path, _, query = request.path.partition("?")
    headers = {name.lower(): value for name, value in reversed(list(request.headers.raw_items()))}
    return Handshake(path=path, query=parse_qs(query, keep_blank_values=True), headers=headers, limits=limits)


def _wants_upgrade(request: Request) -> bool:
    return (_first(request.headers, "Upgrade") or "").lower() == "websocket"


def _first(headers: Headers, name: str) -> str | None:
    """Of headers that came twice the first: `Headers.get` would raise, and the client see an internal error."""
    return next(iter(headers.get_all(name)), None)


def _text(status: HTTPStatus, text: str) -> Response:
    return _response(status, text.encode(), "text/plain; charset=utf-8")


def _error(status: HTTPStatus, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    return _response(status, body, "application/json", headers)


def _response(status: HTTPStatus, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> Response:
    fields = Headers(
        {"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
    )
    return Response(status.value, status.phrase, fields, body)
