"""What a browser offers as subprotocols: it can set no header, so keys of other services come among them."""

import re
from collections.abc import Sequence

from bus.contract.errors import InvalidMessage

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
_KEY_PREFIX = "openai-insecure-api-key."
_KEY_FOLLOWS = ("token", "bearer")
_ECHOED = ("realtime", *_KEY_FOLLOWS)
"""No secret, and enough for a browser, which drops a socket on which nothing of its offer comes back."""


def parse_offer(values: Sequence[str]) -> tuple[str, ...]:
    """The names in `Sec-WebSocket-Protocol`, in order; it may come several times.

    Raises InvalidMessage, whose text quotes nothing.
    """
    names: list[str] = []
    for value in values:
        found = [name for part in value.split(",") if (name := part.strip(" \t"))]
        if not found or not all(map(_TOKEN.fullmatch, found)):
            raise InvalidMessage("Sec-WebSocket-Protocol must be a list of names, which hold no spaces and no slashes")
        names += found
    return tuple(names)


def offered_key(names: Sequence[str]) -> str | None:
    """The key among the names: `openai-insecure-api-key.K`, or the pair `token, K` or `bearer, K`."""
    position = _key_position(names)
    return None if position is None else names[position].removeprefix(_KEY_PREFIX)


def echoed(names: Sequence[str]) -> str | None:
    """Which of the names to send back: the first that is known, never the key."""
    position, key = _key_position(names), offered_key(names)
    for number, name in enumerate(names):
        if name.lower() in _ECHOED and number != position and name != key:
            return name
    return None


def _key_position(names: Sequence[str]) -> int | None:
    for number, name in enumerate(names):
        if name.startswith(_KEY_PREFIX) and name != _KEY_PREFIX:
            return number
    for number, name in enumerate(names[:-1]):
        if name.lower() in _KEY_FOLLOWS:
            return number + 1
    return None
