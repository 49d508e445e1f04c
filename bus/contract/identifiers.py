"""Identifiers that are at once a NATS subject token, a stream-name part and a KV key."""

import re

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def is_identifier(text: str) -> bool:
    """Tell whether `text` may stand as one token of a subject: 1 to 64 of `A-Z a-z 0-9 _ -`."""
    return _IDENTIFIER.match(text) is not None


def check_identifier(text: str, what: str) -> str:
    """Return `text` unchanged, or raise ValueError that names `what` it was meant to be.

    The text itself stays out of the message: it may be a user's.
    """
    if not is_identifier(text):
        raise ValueError(f"{what} must be 1 to 64 characters of A-Z a-z 0-9 _ -")
    return text
