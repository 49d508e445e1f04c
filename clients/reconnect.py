"""When to look for another socket, at which address, and when to give up. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GIVE_UP_S: Final = 300.0
"""How long a session looks for another socket, if its token is good for so long."""
FIRST_WAIT_S: Final = 0.05
LONGEST_WAIT_S: Final = 2.0
STEADY_AFTER_S: Final = 10.0
"""A session that is lost again sooner than this, and got nowhere meanwhile, goes on waiting where it was."""


@dataclass(frozen=True, slots=True)
class Try:
    """Wait, then dial."""

    url: str
    wait_s: float


class ReconnectPolicy:
    """Chooses try after try, for one session. All times are of one monotonic clock; one owner.

    Each try goes to the next address, in a circle. The wait before it is drawn evenly from 0 to a bound that doubles
    from try to try, so that all who lost the same gateway do not come back in the same moment.
    """

    def __init__(self, urls: Sequence[str], *, current: int = 0, give_up_s: float = GIVE_UP_S) -> None:
        self._urls = tuple(urls)
        self._current = current
        self._give_up_s = give_up_s
        self._longest_wait_s = 0.0
        self._since = 0.0
        self._until = 0.0
        self._resumed_at: float | None = None
        self._results = 0

    def on_leaving(self, now: float, *, good_until: float) -> None:
        """The gateway goes away: another one is wanted now. `good_until`: when the token of the session expires."""
        self._resumed_at = None
        self._begin(now, good_until, longest_wait_s=0.0)

    def on_lost(self, now: float, *, good_until: float, results: int) -> None:
        """The socket is gone. `results`: how far the session has come, a number that only grows."""
        is_same_trouble = self._resumed_at is not None and now < self._resumed_at + STEADY_AFTER_S
        if is_same_trouble and results == self._results:
            self._until = min(self._since + self._give_up_s, good_until)
        else:
            self._begin(now, good_until, longest_wait_s=FIRST_WAIT_S)

    def on_resumed(self, now: float, *, results: int) -> None:
        """The session is back on the last address that was tried."""
        self._resumed_at, self._results = now, results

    def next_try(self, now: float, random: float) -> Try | None:
        """Give the next try; None to give up. `random` is drawn evenly from 0 to 1."""
        if now >= self._until:
            return None
        self._current = (self._current + 1) % len(self._urls)
        wait_s = min(random * self._longest_wait_s, self._until - now)
        self._longest_wait_s = min(LONGEST_WAIT_S, max(FIRST_WAIT_S, 2 * self._longest_wait_s))
        return Try(self._urls[self._current], wait_s)

    def _begin(self, now: float, good_until: float, *, longest_wait_s: float) -> None:
        self._longest_wait_s = longest_wait_s
        self._since = now
        self._until = min(now + self._give_up_s, good_until)
