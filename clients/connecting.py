"""Opening the WebSocket: the address, the key, and what a refusal means."""

import asyncio
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI, SecurityError
from websockets.http11 import Response

from bus.contract.client_protocol import PATH
from bus.contract.errors import HarkenError, Unauthorized
from clients.failures import CannotConnect, NotHarken, from_unavailable
from clients.silence import ListeningConnection

PING_INTERVAL_S = 20.0
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
    # What cannot be taken apart is not quoted: nobody knows which part of it is a password.
    error = CannotConnect(
        "the address of the service is not one such as ws://127.0.0.1:8080 or wss://USER:PASSWORD@HOST:PORT"
    )
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0 and (parts.username is None) == (parts.password is None)
    except ValueError:  # the port is no number up to 65535, or a bracket is missing
        raise error from None
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not is_complete:
        raise error
    path = parts.path if parts.path not in ("", "/") else PATH
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


async def open_socket(url: str, *, key: str | None, open_timeout_s: float) -> ClientConnection:
    """Open the WebSocket at `url`, with `key` as bearer token. Cancel-safe.

    Raises CannotConnect, NotHarken, Unauthorized, or a `Busy` that is also Overloaded, NoWorker, BusUnavailable
    or Draining. No message holds a key, a query or a password.
    """
    address = stream_url(url)
    shown = _without_secrets(address)
    try:
        return await open_websocket(
            address,
            additional_headers={"Authorization": f"Bearer {key}"} if key else None,
            # Speech does not deflate, and each compressor would cost the service memory.
            compression=None,
            proxy=None if _is_loopback(address) else True,
            open_timeout=open_timeout_s,
            ping_interval=PING_INTERVAL_S,
            # While back-pressure holds the socket unread, pongs come minutes late; silence is what counts.
            ping_timeout=None,
            create_connection=ListeningConnection,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_EVENT_BYTES,
        )
    except InvalidStatus as refused:
        raise _refusal(shown, refused.response) from None
    except (InvalidURI, SecurityError):
        # Their texts quote where the answer redirects to, which may repeat our query.
        why = "it redirects to where no client follows, or answers too much"
        raise NotHarken(f"what answers at {shown} is not a WebSocket service: {why}") from None
    except InvalidHandshake as error:
        raise NotHarken(f"what answers at {shown} is not a WebSocket service: {error}") from error
    except TimeoutError as error:
        raise CannotConnect(f"no answer from {shown} within {open_timeout_s:g} s") from error
    except (OSError, EOFError) as error:
        raise CannotConnect(f"cannot connect to {shown}: {_reason(error)}") from error
    except (ValueError, InvalidProxy):
        # A host name that the DNS has no form for, or a proxy of the environment, which may hold a password.
        raise CannotConnect(f"cannot connect to {shown}: this address, or the proxy's, is not valid") from None


async def close_socket(socket: ClientConnection) -> None:
    """Close `socket` and wait until it is, at most about `CLOSE_TIMEOUT_S`. Idempotent."""
    try:
        # The limit of websockets begins once the close frame is out, which a service that reads nothing prevents.
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await socket.close()
    except TimeoutError:
        pass
    finally:
        socket.transport.abort()
    await socket.wait_closed()


def _refusal(shown: str, response: Response) -> HarkenError:
    try:
        detail = msgspec.json.decode(response.body or b"{}", type=_Refusal).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        detail = _RefusalDetail()
    match response.status_code:
        case 401:
            return Unauthorized(detail.message or f"{shown} wants a valid key")
        case 503:
            message = detail.message or f"{shown} takes no new session now"
            return from_unavailable(detail.code, message, _seconds(response.headers.get("Retry-After")))
        case status:
            why = detail.message or "is it the address of a Harken service?"
            return NotHarken(f"{shown} answers HTTP {status}: {why}")


def _seconds(retry_after: str | None) -> float | None:
    # The date form of the header is not used by Harken.
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _without_secrets(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _is_loopback(address: str) -> bool:
    # A proxy set for the internet must not stand between a client and a service on the same machine.
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
