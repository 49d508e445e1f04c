"""JetStream's replies in our own terms: which error is whose, and how long a retry may help."""

import json
from dataclasses import dataclass
from typing import Any

from bus.contract.errors import BusUnavailable, HarkenError, InternalError, Overloaded

NANOSECONDS = 1_000_000_000
_SERVICE_UNAVAILABLE = 503
_NOT_FOUND = 404
# 10077 is "maximum messages or bytes exceeded"; the others are the server's memory or disk at its limit.
_FULL = frozenset({10077, 10023, 10028, 10047})


@dataclass(frozen=True, slots=True)
class StoredAck:
    """The broker's word that a message is stored."""

    seq: int
    duplicate: bool
    """A message with this id had been stored before; `seq` is that one's."""


class AssetMissing(BusUnavailable):
    """The stream or consumer does not exist (any more): ensure the assets and try again."""


def parse_stored(data: bytes) -> StoredAck:
    """Read the reply to a stored publish. Raises as `parse_reply`."""
    reply = parse_reply(data)
    return StoredAck(seq=whole(reply, "seq"), duplicate=reply.get("duplicate") is True)


def parse_reply(data: bytes) -> dict[str, Any]:
    """Read any JetStream reply. Raises AssetMissing, Overloaded, BusUnavailable, or InternalError for our own fault."""
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        raise InternalError("JetStream answered with something other than JSON") from None
    if not isinstance(reply, dict):
        raise InternalError("JetStream answered with something other than an object")
    if (error := reply.get("error")) is not None:
        raise _error(error if isinstance(error, dict) else {})
    return reply


def whole(reply: object, *path: str) -> int:
    """The number that lies there in a reply. Raises InternalError if there is none."""
    for name in path:
        reply = reply.get(name) if isinstance(reply, dict) else None
    if not isinstance(reply, int) or isinstance(reply, bool) or reply < 0:
        raise InternalError(f"JetStream answered without {'.'.join(path)}")
    return reply


def _error(error: dict[str, Any]) -> HarkenError:
    status, code = error.get("code"), error.get("err_code")
    text = f"{error.get('description', 'no description')} (JetStream error {code})"
    if isinstance(code, int) and code in _FULL:
        return Overloaded(f"JetStream is at a limit: {text}")
    if status == _NOT_FOUND:
        return AssetMissing(text)
    if status == _SERVICE_UNAVAILABLE:
        return BusUnavailable(f"JetStream is not available: {text}")
    return InternalError(f"JetStream refused the request: {text}")
