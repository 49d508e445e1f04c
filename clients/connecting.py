"""Opening the WebSocket: the key, and what a refusal means."""

import asyncio

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI, SecurityError
from websockets.http11 import Response

from bus.contract.errors import HarkenError, Unauthorized
from clients.addresses import is_loopback, stream_url, without_secrets
from clients.failures import CannotConnect, NotHarken, from_unavailable
from clients.silence import ListeningConnection

PING_INTERVAL_S = 5.0
"""Often enough that a service which does not answer is found within `clients.silence.RESUMABLE_LIMIT_S`."""
CLOSE_TIMEOUT_S = 2.0
"""Longest wait for the other side's close frame: leaving a session never hangs longer."""
MAX_EVENT_BYTES = 1024 * 1024
"""Largest event accepted; the words of a 28 s utterance take about 30 kB."""


class _RefusalDetail(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Refusal(msgspec.Struct):
    """Body of a refused upgrade, as far as it is understood."""

    error: _RefusalDetail = msgspec.field(default_factory=_RefusalDetail)


async def open_socket(
    url: str, *, key: str | None, open_timeout_s: float, resumes: bool = False
) -> ListeningConnection:
    """Open the WebSocket at `url`, with `key` as bearer token. Cancel-safe.

    `resumes`: to take up a session that is there, for which a service that is full has room.

    Raises CannotConnect, NotHarken, Unauthorized, or a `Busy` that is also Overloaded, NoWorker, BusUnavailable
    or Draining. No message holds a key, a query or a password.
    """
    address = stream_url(url, resumes=resumes)
    shown = without_secrets(address)
    try:
        socket = await open_websocket(
            address,
            additional_headers={"Authorization": f"Bearer {key}"} if key else None,
            # Speech does not deflate, and each compressor would cost the service memory.
            compression=None,
            proxy=None if is_loopback(address) else True,
            open_timeout=open_timeout_s,
            ping_interval=PING_INTERVAL_S,
            # While back-pressure holds the socket unread, pongs come minutes late; silence is what counts.
            ping_timeout=None,
            create_connection=ListeningConnection,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_EVENT_BYTES,
        )
        assert isinstance(socket, ListeningConnection)
        return socket
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


async def leave_socket(socket: ClientConnection) -> None:
    """Drop `socket` without a close frame, which would end the session it had."""
    socket.transport.abort()
    await socket.wait_closed()
