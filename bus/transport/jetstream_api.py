"""JetStream's replies in our own terms: which error is whose, and how long a retry may help."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bus.contract.errors import BusUnavailable, HarkenError, InternalError, Overloaded

NANOSECONDS = 1_000_000_000
_SERVICE_UNAVAILABLE = 503
_NOT_FOUND = 404
_MAX_DIGITS = 20
"""Of a sequence, which has 64 bits."""
_END_OF_BATCH = 204
_WRONG_LAST_SEQUENCE = 10071
EPOCH = "Harken-Epoch"
"""Header: which owner of its subject wrote a message; they are counted from 0, and so is who says nothing of it."""
# 10077 is "maximum messages or bytes exceeded"; the others are the server's memory or disk at its limit.
_FULL = frozenset({10077, 10023, 10028, 10047})


@dataclass(frozen=True, slots=True)
class StoredAck:
    """The broker's word that a message is stored."""

    seq: int
    duplicate: bool
    """A message with this id had been stored before; `seq` is that one's."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of a stream."""

    seq: int
    msg_id: str
    """Its `Nats-Msg-Id`; empty if it has none."""
    epoch: int
    """Which owner of the subject wrote it."""
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EndOfBatch:
    """All messages of a batch were given."""

    pending: int
    """How many follow behind it."""


class AssetMissing(BusUnavailable):
    """The stream or consumer does not exist (any more): ensure the assets and try again."""


class WrongLastSequence(InternalError):
    """The newest message of the subject is another than the one that was expected: nothing was stored.

    It may be an earlier try to store the very same, under the same id.
    """


def parse_stored(data: bytes) -> StoredAck:
    """Read the reply to a stored publish. Raises as `parse_reply`."""
    reply = parse_reply(data)
    return StoredAck(seq=whole(reply, "seq"), duplicate=reply.get("duplicate") is True)


def parse_direct(headers: Mapping[str, str], data: bytes) -> StoredMessage | EndOfBatch | None:
    """Read one reply to a direct get: None if there is no (further) message.

    Raises AssetMissing if there is no stream, InternalError if it was refused.
    """
    status = _number(headers, "Status", without=0)
    if status == _NOT_FOUND:
        return None
    if status == _END_OF_BATCH:
        return EndOfBatch(pending=_number(headers, "Nats-Num-Pending"))
    if status == _SERVICE_UNAVAILABLE:
        raise AssetMissing("no stream answers on this subject")
    if status:
        raise InternalError(f"JetStream refused the request: {headers.get('Description', 'no description')} ({status})")
    return StoredMessage(
        seq=_number(headers, "Nats-Sequence"),
        msg_id=headers.get("Nats-Msg-Id", ""),
        epoch=_number(headers, EPOCH, without=0),
        data=data,
    )


def parse_reply(data: bytes) -> dict[str, Any]:
    """Read any JetStream reply.

    Raises AssetMissing, WrongLastSequence, Overloaded, BusUnavailable, or InternalError for our own fault.
    """
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


def _number(headers: Mapping[str, str], name: str, *, without: int | None = None) -> int:
    digits = headers.get(name)
    if digits is None and without is not None:
        return without
    if digits is None or not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise InternalError(f"JetStream answered without {name}")
    return int(digits)


def _error(error: dict[str, Any]) -> HarkenError:
    status, code = error.get("code"), error.get("err_code")
    text = f"{error.get('description', 'no description')} (JetStream error {code})"
    if code == _WRONG_LAST_SEQUENCE:
        return WrongLastSequence(text)
    if isinstance(code, int) and code in _FULL:
        return Overloaded(f"JetStream is at a limit: {text}")
    if status == _NOT_FOUND:
        return AssetMissing(text)
    if status == _SERVICE_UNAVAILABLE:
        return BusUnavailable(f"JetStream is not available: {text}")
    return InternalError(f"JetStream refused the request: {text}")
