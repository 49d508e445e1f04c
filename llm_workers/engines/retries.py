"""Whether a server is asked again for an answer of which nothing came yet. Pure."""

_PAUSES_S = (0.1, 0.3, 1.0)
_LONGEST_PAUSE_S = 5.0
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_UNAVAILABLE = 503
_NOT_IMPLEMENTED = 501


class Retries:
    """The tries of one request."""

    def __init__(self) -> None:
        self._left = list(_PAUSES_S)

    def after_refusal(self) -> float | None:
        """Pause in seconds before the next try where the connection was refused or lost; None: give up."""
        return self._left.pop(0) if self._left else None

    def after_status(self, status: int, retry_after: str | None) -> float | None:
        """The same where the server answered with an error: only if it says that it may pass."""
        if not is_passing(status):
            return None
        pause_s = self.after_refusal()
        if pause_s is None or retry_after is None or not retry_after.isdecimal():
            return pause_s
        asked_s = float(retry_after)
        return max(pause_s, asked_s) if asked_s <= _LONGEST_PAUSE_S else None


def is_passing(status: int) -> bool:
    """Whether this server or another may do better later."""
    return status == _TOO_MANY_REQUESTS or (status >= _SERVER_ERROR and status != _NOT_IMPLEMENTED)


def is_busy(status: int) -> bool:
    """Whether nothing is wrong with the server but that it has too much to do."""
    return status in (_TOO_MANY_REQUESTS, _UNAVAILABLE)
