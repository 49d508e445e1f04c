"""The pull protocol of JetStream consumers as values: requests to send, statuses to react to. Pure.

nats-py 2.16 knows no priority groups, and its own fetch may sit on a message it already has; hence ours.
"""

import json
from enum import Enum, auto

from bus.transport.jetstream_api import NANOSECONDS

_MIN_HEARTBEAT_S = 0.1


class PullOutcome(Enum):
    """What a status message means for the pull it answers."""

    ALIVE = auto()
    """Heartbeat: it still waits."""
    NOTHING = auto()
    """Over without a message, as asked."""
    REISSUE = auto()
    """Over early through no fault of ours: ask again at once."""
    BACK_OFF = auto()
    """Refused for now: ask again after a pause."""
    MISSING = auto()
    """The consumer or its stream is gone: ensure the assets, then ask again."""


def encode_pull(*, expires_s: float | None, heartbeat_s: float, group: str, priority: int) -> bytes:
    """Body of a request for one message. `expires_s` None asks for what is there now, without waiting.

    The heartbeat is left out when the pull is too short for two of them: the server would refuse it.
    """
    body: dict[str, object] = {"batch": 1, "group": group, "priority": priority}
    if expires_s is None:
        body["no_wait"] = True
    else:
        body["expires"] = round(expires_s * NANOSECONDS)
        if has_heartbeat(expires_s, heartbeat_s):
            body["idle_heartbeat"] = round(heartbeat_s * NANOSECONDS)
    return json.dumps(body).encode()


def has_heartbeat(expires_s: float, heartbeat_s: float) -> bool:
    """Whether a pull is long enough for two heartbeats, which the server insists on."""
    return heartbeat_s >= _MIN_HEARTBEAT_S and 2 * heartbeat_s < expires_s


def read_status(status: str, description: str) -> PullOutcome:
    """Classify a status message by its code and, for 409, its text."""
    match status:
        case "100":
            return PullOutcome.ALIVE
        case "404" | "408":
            return PullOutcome.NOTHING
        case "503":
            return PullOutcome.MISSING
        case "409":
            return _read_conflict(description.lower())
        case _:
            return PullOutcome.BACK_OFF


def _read_conflict(description: str) -> PullOutcome:
    if "consumer deleted" in description or "push based" in description:
        return PullOutcome.MISSING
    if "leadership change" in description:
        return PullOutcome.REISSUE
    return PullOutcome.BACK_OFF  # Exceeded MaxWaiting, Server Shutdown and whatever comes
