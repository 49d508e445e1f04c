"""Which message of the broker is which of ours, by its number in the stream. Pure.

The broker may give a message up before it was read that it has it: both words are under way at the same time. So a
number that nobody knows is remembered for as long as anything is being published.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

What = TypeVar("What")

_MAX_EARLY = 64
"""Messages of all sessions that may be given up in the moment in which one of this session's is published."""


class InBroker(Generic[What]):
    """Of one session. Tell `on_publishing` before each publish, and `on_published` after it, whatever became of it."""

    def __init__(self, *, most: int | None = None) -> None:
        """With `most` the oldest beyond it are forgotten."""
        self._most = most
        self._known: dict[int, What] = {}
        self._publishing = 0
        self._given_up_early: dict[int, int] = {}

    def __getitem__(self, seq: int) -> What:
        """What has this number; it must be known."""
        return self._known[seq]

    def __contains__(self, seq: int) -> bool:
        """Whether the number is known."""
        return seq in self._known

    def on_publishing(self) -> None:
        """A message is on its way."""
        self._publishing += 1

    def on_published(self, seq: int | None, what: What | None) -> int | None:
        """The broker has it under `seq`, or it is not known to have it, or nobody will ask for it (None).

        Returns after how many deliveries it was given up, if it was: then it is not kept.
        """
        self._publishing -= 1
        deliveries = None if seq is None else self._given_up_early.pop(seq, None)
        if not self._publishing:
            self._given_up_early.clear()
        if seq is not None and what is not None and deliveries is None:
            self._known[seq] = what
            if self._most is not None and len(self._known) > self._most:
                del self._known[next(iter(self._known))]
        return deliveries

    def on_given_up(self, seq: int, deliveries: int) -> What | None:
        """The broker will not deliver this message again: which it is, or None if it is not known to be one of ours."""
        what = self._known.pop(seq, None)
        if what is None and self._publishing and len(self._given_up_early) < _MAX_EARLY:
            self._given_up_early[seq] = deliveries
        return what

    def take_upto(self, seq: int) -> list[What]:
        """What has a number up to this one, in their order. It is forgotten."""
        taken = [what for number, what in sorted(self._known.items()) if number <= seq]
        self._known = {number: what for number, what in self._known.items() if number > seq}
        return taken

    def keep(self, is_wanted: Callable[[What], bool]) -> None:
        """Forget the others."""
        self._known = {seq: what for seq, what in self._known.items() if is_wanted(what)}

    def clear(self) -> None:
        """A broker that restarts counts from 1 again: the numbers known so far mean nothing to it."""
        self._known.clear()
        self._given_up_early.clear()
