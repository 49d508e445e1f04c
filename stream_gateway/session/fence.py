"""Who may still write on one subject of the broker: whoever knows its newest message. Pure.

Theory of operation. Every store names the message that it follows, and the broker refuses it if there is a newer one.
A refusal has four causes, told apart by the newest message there is: it is this very store, whose acknowledgement was
lost; it is another store of ours, of which that is true; the broker has forgotten (age, a disk that was lost), or a
replica that lags has answered; or it is a later owner's: then the subject is theirs, and nothing of ours may follow.
Ids do not tell the last from the first: a later owner gives the same names. So each message says which owner wrote it.
Stores are made one at a time: of those that are in doubt, then, at most one was stored.
"""

from enum import Enum, auto
from typing import Protocol


class Newest(Protocol):
    """The newest message of the subject."""

    @property
    def seq(self) -> int:
        """Its number; 0 if there is none."""

    @property
    def msg_id(self) -> str:
        """Under which it was stored."""

    @property
    def epoch(self) -> int:
        """Which owner wrote it."""


class Verdict(Enum):
    """What a store comes to that was not simply acknowledged."""

    STORED = auto()
    AGAIN = auto()
    """Behind `after_seq`, which is another one now."""
    TAKEN = auto()


class Fence:
    """Of one subject and owner. Ask `is_stored` before a store, and tell what became of it by one `on_*`."""

    def __init__(self, after_seq: int, *, epoch: int = 0) -> None:
        """`after_seq` is the newest message of the subject, 0 if there is none; owners are counted by `epoch`."""
        self.after_seq = after_seq
        self.epoch = epoch
        self._newest_of_ours = after_seq
        self._in_doubt: set[str] = set()
        self._found: set[str] = set()

    def is_stored(self, msg_id: str) -> bool:
        """Whether a store that was in doubt is known to have been made. Told once."""
        is_found = msg_id in self._found
        self._found.discard(msg_id)
        return is_found

    def on_stored(self, seq: int) -> None:
        """The broker has it, as message `seq`."""
        self.after_seq = self._newest_of_ours = seq
        self._in_doubt.clear()

    def on_doubt(self, msg_id: str) -> None:
        """No answer came: it may be stored, or may yet be."""
        self._in_doubt.add(msg_id)

    def on_duplicate(self, newest: Newest) -> Verdict:
        """Something is stored under this id: an earlier try of ours, or what a later owner gave the same name."""
        if newest.epoch > self.epoch:
            return Verdict.TAKEN
        self.on_stored(max(self.after_seq, newest.seq))
        return Verdict.STORED

    def on_refused(self, msg_id: str, newest: Newest) -> Verdict:
        """There is another newest message than `after_seq`."""
        if newest.epoch > self.epoch:
            return Verdict.TAKEN
        if newest.msg_id == msg_id or newest.msg_id in self._in_doubt:
            self.on_stored(newest.seq)
            if newest.msg_id == msg_id:
                return Verdict.STORED
            self._found.add(newest.msg_id)
            return Verdict.AGAIN
        if newest.seq > self._newest_of_ours:
            return Verdict.TAKEN
        self.after_seq = newest.seq
        return Verdict.AGAIN
