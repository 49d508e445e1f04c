"""What an application hears of the connection of its session. Pure."""

from dataclasses import dataclass
from typing import TypeAlias

from bus.contract.errors import HarkenError


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The connection is lost, and another one is looked for. What is sent meanwhile waits."""

    error: HarkenError
    """What happened to the connection."""


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The session goes on, and all that was missed has come."""

    away_s: float
    """How long there was no connection; 0 where the session moved from a gateway that goes away."""


ConnectionChange: TypeAlias = Reconnecting | Reconnected
