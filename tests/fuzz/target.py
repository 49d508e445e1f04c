"""What is fuzzed: how to make an input of it, and what to do with one."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """One surface. Inputs are bytes whatever they stand for, so that any can be kept as a file and run again."""

    name: str
    make: Callable[[Random], bytes]
    run: Callable[[bytes], None]
    """Raises what the contract of the surface allows, or breaks it: by any other exception, or an assertion."""
    refusals: tuple[type[Exception], ...] = ()
    """What the contract allows it to raise."""
    share: float = 1.0
    """Of the inputs asked for: less where one input costs much."""
    prepare: Callable[[], object] = _nothing
    """Called once, before any input is watched: for what is built at its first use."""
