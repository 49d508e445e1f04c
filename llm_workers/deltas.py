"""When text goes out: the first piece at once, what follows quickly is gathered for a moment. Pure: `now` comes in.

A model gives a token every few milliseconds, and a reader sees no difference between one message per token and one
per `GATHER_S`; the broker, the gateway and the socket do.
"""

from typing import NamedTuple

GATHER_S = 0.03
"""Between two messages of one answer at least. Text that is slower than that goes out as it comes."""


class Gathered(NamedTuple):
    """One message."""

    text: str
    pieces: int
    """Of the engine: about as many tokens."""


class DeltaBatch:
    """The text of one answer on its way out."""

    def __init__(self, gather_s: float = GATHER_S) -> None:
        self._gather_s = gather_s
        self._pieces: list[str] = []
        self._quiet_until = float("-inf")

    def add(self, text: str) -> None:
        """Take a piece from the engine."""
        if text:
            self._pieces.append(text)

    def due_at(self) -> float | None:
        """When what is gathered must go out, in the past if at once; None while there is nothing."""
        return self._quiet_until if self._pieces else None

    def take_due(self, now: float) -> Gathered:
        """Text that must go out now, "" if there is none."""
        if not self._pieces or now < self._quiet_until:
            return Gathered("", 0)
        self._quiet_until = now + self._gather_s
        return self.take_all()

    def take_all(self) -> Gathered:
        """All that is gathered, due or not: the answer is over."""
        gathered = Gathered("".join(self._pieces), len(self._pieces))
        self._pieces.clear()
        return gathered
