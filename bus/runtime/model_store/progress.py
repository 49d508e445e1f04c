"""How far a fetch is: plain values handed to a callback."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Transfer:
    """`done_bytes` of `item` (a file or an archive) of `model` are here; `total_bytes` is None while unknown."""

    model: str
    item: str
    done_bytes: int
    total_bytes: int | None


Progress: TypeAlias = Callable[[Transfer], None]
"""Called from the thread that fetches, at most some times a second per item, and once when an item is complete."""


def silent(_: Transfer) -> None:
    """The callback of callers that show nothing."""
