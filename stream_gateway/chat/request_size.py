"""Keeping a request for an answer below what the broker takes. Pure."""

from collections.abc import Sequence

from bus.contract.chat_work import MAX_REQUEST_BYTES, ChatMessage

_FRAME_BYTES = 4096
"""More than all else in an encoded request."""
_MESSAGE_BYTES = 32
"""More than an encoded message has beside its text."""


def fitted(
    messages: Sequence[ChatMessage], prefill: str, *, max_bytes: int = MAX_REQUEST_BYTES
) -> tuple[ChatMessage, ...] | None:
    """The conversation without its oldest turns as far as it must be, the system text and the last turn kept.

    What is left begins with a turn of the user. None: the last turn alone is too long.
    """
    room = max_bytes - _FRAME_BYTES - len(prefill.encode())
    head = 1 if messages[0].role == "system" else 0
    sizes = [len(message.text.encode()) + _MESSAGE_BYTES for message in messages]
    total = sum(sizes)
    first = head
    while total > room and first < len(messages) - 1:
        total -= sizes[first]
        first += 1
        while messages[first].role != "user":
            total -= sizes[first]
            first += 1
    return (*messages[:head], *messages[first:]) if total <= room else None
