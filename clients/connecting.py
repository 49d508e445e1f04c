"""Opening the WebSocket: the address, the key, and what a refusal means."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.http11 import Response

from bus.contract.client_protocol import PATH
from bus.contract.errors import HarkenError, Unauthorized
from clients.failures import CannotConnect, NotHarken, from_unavailable

PING_INTERVAL_S = 20.0
PING_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 2.0
"""Longest wait for the other side's close frame: leaving a session never hangs longer."""
MAX_EVENT_BYTES = 1024 * 1024
"""Largest event accepted; the words of a 28 s utterance take about 30 kB."""

_SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


class _RefusalDetail(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Refusal(msgspec.Struct):
    """Body of a refused upgrade, as far as it is understood."""

    error: _RefusalDetail = msgspec.field(default_factory=_RefusalDetail)


def stream_url(url: str) -> str:
    """Complete an address: http(s) becomes ws(s), and a missing path the protocol's own.

    Raises CannotConnect if it is no such address.
    """
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise CannotConnect(f"{url!r} is not an address such as ws://127.0.0.1:8080")
    path = parts.path if parts.path not in ("", "/") else PATH
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


async def open_socket(url: str, *, key: str | None, open_timeout_s: float) -> ClientConnection:
    """Open the WebSocket at `url`, with `key` as bearer token. Cancel-safe.

    Raises CannotConnect, NotHarken, Unauthorized, or a `Busy` that is also Overloaded, NoWorker, BusUnavailable
    or Draining.
    """
    address = stream_url(url)
    try:
        return await open_websocket(
            address,
            additional_headers={"Authorization": f"Bearer {key}"} if key else None,
            # Speech does not deflate, and each compressor would cost the service memory.
            compression=None,
            proxy=None if _is_loopback(address) else True,
            open_timeout=open_timeout_s,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_EVENT_BYTES,
        )
    except InvalidStatus as refused:
        raise _refusal(address, refused.response) from None
    except InvalidHandshake as error:
        raise NotHarken(f"what answers at {address} is not a WebSocket service: {error}") from error
    except TimeoutError as error:
        raise CannotConnect(f"no answer from {address} within {open_timeout_s:g} s") from error
    except (OSError, EOFError) as error:
        raise CannotConnect(f"cannot connect to {address}: {_reason(error)}") from error


def _refusal(address: str, response: Response) -> HarkenError:
    try:
        detail = msgspec.json.decode(response.body or b"{}", type=_Refusal).error
    except msgspec.MsgspecError:
        detail = _RefusalDetail()
    match response.status_code:
        case 401:
            return Unauthorized(detail.message or f"{address} wants a valid key")
        case 503:
            message = detail.message or f"{address} takes no new session now"
            return from_unavailable(detail.code, message, _seconds(response.headers.get("Retry-After")))
        case status:
            why = detail.message or "is it the address of a Harken service?"
            return NotHarken(f"{address} answers HTTP {status}: {why}")


def _seconds(retry_after: str | None) -> float | None:
    # The date form of the header is not used by Harken.
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _is_loopback(address: str) -> bool:
    # A proxy set for the internet must not stand between a client and a service on the same machine.
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
