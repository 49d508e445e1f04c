"""Who may open a session now. A function of a snapshot that returns a reason."""

from dataclasses import dataclass
from typing import Literal

_HEADROOM_SHARE = 0.1
_MIN_HEADROOM = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayView:
    """One gateway process at the moment of an upgrade request."""

    sessions: int
    max_sessions: int
    draining: bool
    resuming: bool = False
    """The client goes on with a session, and finds room above the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """`retry_after_s` is advice for a refused client."""

    admitted: bool
    reason: Literal["", "draining", "overloaded"] = ""
    message: str = ""
    retry_after_s: int = 0


def with_headroom(limit: int) -> int:
    """`limit` for clients that resume: a gateway that fell leaves them to others, which may be full."""
    return limit + max(_MIN_HEADROOM, round(_HEADROOM_SHARE * limit))


def admit(view: GatewayView) -> Admission:
    """Decide before the upgrade, so that a refusal costs a handshake and nothing else."""
    if view.draining:
        return Admission(
            admitted=False, reason="draining", message="this gateway is going away; connect again", retry_after_s=1
        )
    if view.sessions >= (with_headroom(view.max_sessions) if view.resuming else view.max_sessions):
        return Admission(
            admitted=False,
            reason="overloaded",
            message=f"this gateway holds its limit of {view.max_sessions} sessions; try again later",
            retry_after_s=5,
        )
    return Admission(admitted=True)
