"""Who may open a session now. A function of a snapshot that returns a reason."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

from stream_gateway.policy.shortage import Lack

_HEADROOM_SHARE = 0.1
_MIN_HEADROOM = 8
_FULL_RETRY_S = 5.0
_LACK_RETRY_S = 10.0
_LACKS = {"time": "is too busy", "memory": "uses all the memory it may"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayView:
    """One gateway process at the moment of an upgrade request."""

    sessions: int
    max_sessions: int
    draining: bool
    resuming: bool = False
    """The client goes on with a session: what it asks of the pool is asked already, and it finds room above limits."""
    tenant_sessions: int = 0
    """Of the client's tenant."""
    max_tenant_sessions: int | None = None
    lack: Lack | None = None
    """What the process itself is short of."""
    pools_closed: bool = False
    """No pool can be given more: finals would be late."""
    newcomers: int = 0
    """Sessions that came so lately that the pools have not felt them yet."""
    max_newcomers: int | None = None
    retry_s: float = 1.0
    """When there is room for another newcomer, or a pool may have recovered."""
    spread: float = 0.0
    """From 0 to 1, unlike for every client: those who are refused together shall not come back together."""


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
        return _overloaded(view, f"this gateway holds its limit of {view.max_sessions} sessions", _FULL_RETRY_S)
    if (limit := view.max_tenant_sessions) is not None:
        if view.tenant_sessions >= (with_headroom(limit) if view.resuming else limit):
            return _overloaded(view, f"your tenant holds its limit of {limit} sessions here", _FULL_RETRY_S)
    if view.lack == "memory" or (view.lack is not None and not view.resuming):
        return _overloaded(view, f"this gateway {_LACKS[view.lack]}", _LACK_RETRY_S)
    if view.resuming:
        return Admission(admitted=True)
    if view.pools_closed:
        return _overloaded(view, "the workers are behind with the sessions they have", view.retry_s)
    if view.max_newcomers is not None and view.newcomers >= view.max_newcomers:
        return _overloaded(view, "many sessions were opened just now", view.retry_s)
    return Admission(admitted=True)


def _overloaded(view: GatewayView, why: str, retry_s: float) -> Admission:
    return Admission(
        admitted=False,
        reason="overloaded",
        message=f"{why}; try again later",
        retry_after_s=max(1, ceil(retry_s * (1 + view.spread))),
    )
