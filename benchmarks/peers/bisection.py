"""The most sessions that a system holds, in few rounds. Pure."""


class MostSessions:
    """Ask `next_try`, play a round, tell `passed` or `failed`; when there is no next try, `held` is the answer.

    Doubles until a round fails, since a round too big is the slow kind, then halves the gap. Assumes that who holds n
    sessions holds fewer.
    """

    def __init__(self, highest: int) -> None:
        self.held = 0
        self._too_many = highest + 1
        self._highest = highest
        self._has_failed = False

    def next_try(self) -> int | None:
        """The number of sessions to play next; None when it is settled."""
        if self._too_many - self.held <= 1:
            return None
        if self._has_failed:
            return (self.held + self._too_many) // 2
        return min(max(1, 2 * self.held), self._highest)

    def passed(self, sessions: int) -> None:
        """That many were held."""
        self.held = max(self.held, sessions)

    def failed(self, sessions: int) -> None:
        """That many were not."""
        self._has_failed = True
        self._too_many = min(self._too_many, sessions)
