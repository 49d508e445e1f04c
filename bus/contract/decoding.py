"""How bytes become messages: whatever is wrong with them is one kind of error, which quotes nothing of them."""

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

Data = TypeVar("Data", bytes, str | bytes)
T = TypeVar("T")


def decoded(decode: Callable[[Data], T], data: Data, what: str) -> T:
    """What `decode` makes of `data`; ValueError that names `what` it was meant to be and where it is none."""
    try:
        return decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not {what}: {error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"not {what}: a text in it is not UTF-8") from None


def check_finite(numbers: Iterable[float], what: str) -> None:
    """Raise ValueError if one of them is infinite or none at all: JSON cannot hold it, and sums of it are lost."""
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{what} must be finite numbers")
