"""Whether a pool may be given new sessions, by how long its finals wait. Pure.

A session that was let in stays, and its first finals come seconds later. So the door closes well before finals are late
by what they may be; it opens again only once they have hardly waited for a while, and then only by and by: those who
were turned away wait outside, and would close it at once if all came in together.
"""

from dataclasses import dataclass

from stream_gateway.policy.cadence import PoolLag


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOptions:
    """In seconds of wall time. ValueError if the values contradict one another."""

    max_lag_s: float = 3.0
    """A final is to be there within this after the end of speech."""
    close_share: float = 0.5
    """Of that: the wait for a worker at which the door closes. The rest is for the endpoint, the decoder, and what
    those who are inside already will ask for."""
    open_share: float = 0.2
    calm_s: float = 5.0
    """For this long the wait must be short before the door opens."""
    ramp_s: float = 30.0
    """After this time it is open as wide as it ever is."""
    first_share: float = 0.1
    """How wide it opens at first."""

    def __post_init__(self) -> None:
        if not (0 < self.open_share < self.close_share < 1 and 0 < self.first_share <= 1):
            raise ValueError("a door needs 0 < open_share < close_share < 1 and first_share in (0, 1]")
        if not (self.max_lag_s > 0 and self.calm_s >= 0 and self.ramp_s > 0):
            raise ValueError("max_lag_s and ramp_s must be above 0, calm_s at least 0")


class PoolDoor:
    """Of one pool, for one gateway. `now` never goes back."""

    def __init__(self, options: DoorOptions | None = None) -> None:
        self._options = options or DoorOptions()
        self._calm_since: float | None = None
        self._opened_at: float | None = None
        self.is_closed = False
        self.changes = 0
        """How often it was closed or opened."""

    def look(self, lag: PoolLag, now: float) -> None:
        """Follow the pool; to be called a few times a second."""
        options, wait_s = self._options, lag.final_wait_s
        if not self.is_closed:
            if wait_s > options.close_share * options.max_lag_s:
                self._turn(closed=True)
        elif wait_s > options.open_share * options.max_lag_s:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        elif now >= self._calm_since + options.calm_s:
            self._turn(closed=False)
            self._opened_at = now

    def width(self, now: float) -> float:
        """How much of what there is room for may come in: from 0, where the door is closed, to 1."""
        if self.is_closed:
            return 0.0
        if self._opened_at is None:
            return 1.0
        options = self._options
        return min(1.0, options.first_share + (1 - options.first_share) * (now - self._opened_at) / options.ramp_s)

    def _turn(self, *, closed: bool) -> None:
        self.is_closed = closed
        self._calm_since = None
        self.changes += 1
