"""Why the time of a session is up."""

from bus.contract.errors import BusUnavailable, Draining, HarkenError, IdleTimeout, InternalError, SessionTooLong
from stream_gateway.session.config import SessionLimits


def time_is_up(
    limits: SessionLimits, now: float, opened_at: float, *, active_at: float, drain_at: float | None
) -> HarkenError | None:
    """The error that ends the session now, if any. `active_at`: when the client was last heard, or owed something."""
    if now >= opened_at + limits.max_session_s:
        return SessionTooLong(f"a session may last {limits.max_session_s:g} s; open another one")
    if now >= active_at + limits.idle_timeout_s:
        return IdleTimeout(f"nothing came for {limits.idle_timeout_s:g} s")
    if drain_at is not None and now >= drain_at:
        return Draining("this gateway is going away; connect again")
    return None


def overdue(*, bus_connected: bool) -> HarkenError:
    """The error of a session that waited for its finals for as long as it may."""
    if not bus_connected:
        return BusUnavailable("the bus did not return in time; audio that was not committed must be sent again")
    return InternalError("finals are overdue; audio that was not committed must be sent again")
