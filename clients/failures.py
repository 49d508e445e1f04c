"""What can go wrong on the client's side of the socket, and how codes of the service become exceptions.

Beside the errors of `bus.contract.errors`, which the service reports, a client meets five of its own:

HarkenError
 |- ClientError
 |   |- NotHarken         something answers at the address, but it does not speak this protocol
 |   |- SessionOver       something was sent after the end of the session
 |   `- AnswerCancelled   the answer was stopped before its end
 `- ServiceError
     |- CannotConnect     nobody answers at the address
     |- ConnectionLost    the socket closed before `session.ended`, and there was no other
     `- Busy              refused for now, before the session opened; `retry_after_s` may say when to come back
"""

from collections.abc import Mapping
from typing import Final

from bus.contract import errors
from bus.contract.errors import ClientError, HarkenError, ServiceError


class NotHarken(ClientError):
    """What answers at the address is not a Harken service, or speaks another version."""

    code = "not_harken"


class SessionOver(ClientError):
    """Audio or a turn after `audio.end`, or after the service ended the session."""

    code = "session_over"


class AnswerCancelled(ClientError):
    """Somebody spoke or typed while the answer ran, or asked to stop it. What came of it stays in the conversation."""

    code = "answer_cancelled"


class CannotConnect(ServiceError):
    """Nobody answers at the address, or not in time."""

    code = "cannot_connect"


class ConnectionLost(ServiceError):
    """The socket closed before `session.ended`, and the session could not be taken up on another one.

    Audio that was not committed may have no transcript.
    """

    code = "connection_lost"


class Busy(ServiceError):
    """Refused before the session opened, with HTTP 503 or in answer to `session.start`; a later try may succeed.

    Always also one of Overloaded, NoWorker, BusUnavailable or Draining.
    """

    retry_after_s: float | None = None
    """Seconds to wait before the next try, if the service named them; only HTTP 503 does."""


class OverloadedNow(Busy, errors.Overloaded):
    """Refused: a limit of the process or of the pool is reached."""


class NoWorkerNow(Busy, errors.NoWorker):
    """Refused: no live worker can decode for this session."""


class BusUnavailableNow(Busy, errors.BusUnavailable):
    """Refused: the gateway has no connection to NATS."""


class DrainingNow(Busy, errors.Draining):
    """Refused: the gateway is going away."""


_BY_CODE: Final[Mapping[str, type[HarkenError]]] = {
    value.code: value
    for value in vars(errors).values()
    # Only classes that name their own code; InternalError comes after the base that shares it.
    if isinstance(value, type) and issubclass(value, HarkenError) and "code" in vars(value)
}
_BUSY_BY_CODE: Final[Mapping[str, type[Busy]]] = {
    kind.code: kind for kind in (OverloadedNow, NoWorkerNow, BusUnavailableNow, DrainingNow)
}
_BY_CLOSE_CODE: Final[Mapping[int, type[HarkenError]]] = {
    1009: errors.FrameTooLarge,
    1011: errors.InternalError,
    1012: errors.Draining,
    1013: errors.Overloaded,
    4400: errors.InvalidMessage,
    4401: errors.Unauthorized,
    4404: errors.UnknownModel,
    4408: errors.IdleTimeout,
    4409: errors.SessionTooLong,
    4410: errors.CannotResume,
    4412: errors.SessionTaken,
    4415: errors.UnsupportedAudio,
    4429: errors.ClientTooSlow,
}


def from_code(code: str, message: str, *, retryable: bool) -> HarkenError:
    """Build the exception for an `error` event; a code unknown here keeps its name in the message.

    An unknown code becomes a ServiceError if a retry may help, else a ClientError.
    """
    kind = _BY_CODE.get(code)
    if kind is not None:
        return kind(message)
    return (ServiceError if retryable else ClientError)(f"{message} [{code}]")


def from_close(code: int | None, reason: str) -> HarkenError:
    """Build the exception for a socket that closed early without saying why in an `error` event."""
    kind = _BY_CLOSE_CODE.get(code) if code is not None else None
    if kind is not None:
        return kind(reason or f"the service closed the connection with code {code}")
    detail = "" if code is None else f" with code {code}"
    why = f": {reason}" if reason else ""
    if code is not None and 4400 <= code < 4500:
        return ClientError(f"the service closed the connection{detail}{why}")
    return ConnectionLost(f"the connection closed before the session had ended{detail}{why}")


def from_unavailable(code: str | None, message: str, retry_after_s: float | None) -> Busy:
    """Build the exception for HTTP 503; a missing or unknown code counts as overloaded."""
    error = _BUSY_BY_CODE.get(code or "", OverloadedNow)(message)
    error.retry_after_s = retry_after_s
    return error


def as_refusal(error: HarkenError) -> HarkenError:
    """Make what came instead of `session.started` a `Busy`, if it is one of the reasons for HTTP 503."""
    kind = _BUSY_BY_CODE.get(error.code)
    return error if kind is None else kind(error.message)
