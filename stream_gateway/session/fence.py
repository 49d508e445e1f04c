"""Who may still write on one subject of the broker: whoever knows its newest message. Pure.

Theory of operation. Every store names the message that it follows, and the broker refuses it if there is a newer one.
A refusal has four causes, told apart by the newest message there is: it is this very store, whose acknowledgement was
lost; it is another store of ours, of which that is true; the broker has forgotten (age, a disk that was lost), or a
replica that lags has answered; or it is somebody else's: then the subject is theirs, and nothing of ours may follow.
Stores are made one at a time: of those that are in doubt, then, at most one was stored.
"""

from enum import Enum, auto


class Verdict(Enum):
    """What a refused store comes to."""

    STORED = auto()
    AGAIN = auto()
    """Behind `after_seq`, which is another one now."""
    TAKEN = auto()


class Fence:
    """Of one subject. Ask `is_stored` before a store and tell what became of it by one `on_*`."""

    def __init__(self, after_seq: int) -> None:
        """`after_seq` is the newest message of the subject, 0 if there is none."""
        self.after_seq = after_seq
        self._newest_of_ours = after_seq
        self._in_doubt: set[str] = set()
        self._found: set[str] = set()

    def is_stored(self, msg_id: str) -> bool:
        """Whether a store that was in doubt is known to have been made. Told once."""
        is_found = msg_id in self._found
        self._found.discard(msg_id)
        return is_found

    def on_stored(self, seq: int, *, duplicate: bool) -> None:
        """The broker has it, as message `seq`; a duplicate may be older than the newest."""
        self.after_seq = max(self.after_seq, seq) if duplicate else seq
        self._newest_of_ours = self.after_seq
        self._in_doubt.clear()

    def on_doubt(self, msg_id: str) -> None:
        """No answer came: it may be stored, or may yet be."""
        self._in_doubt.add(msg_id)

    def on_refused(self, msg_id: str, newest_seq: int, newest_id: str) -> Verdict:
        """There is another newest message than `after_seq`: number 0 if there is none at all."""
        if newest_id == msg_id or newest_id in self._in_doubt:
            self.on_stored(newest_seq, duplicate=False)
            if newest_id == msg_id:
                return Verdict.STORED
            self._found.add(newest_id)
            return Verdict.AGAIN
        if newest_seq > self._newest_of_ours:
            return Verdict.TAKEN
        self.after_seq = newest_seq
        return Verdict.AGAIN
