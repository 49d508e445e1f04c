"""What the NATS client reports beside its calls: connection state, slow consumers, permission violations.

nats-py's own default logs a traceback per reconnect attempt. Here an outage is one line when it begins and one when it
ends; violations and drops are counted always and logged sparingly, by subject pattern, never with an id in it.
"""

import asyncio
import logging
import re
import time

import nats.errors
from prometheus_client import Counter

_LOG_INTERVAL_S = 10.0
_VIOLATION = re.compile(r"permissions violation for (publish|subscription) to \"([^\"]*)\"", re.IGNORECASE)
_PLACEHOLDER = "*"
_log = logging.getLogger(__name__)

RECONNECTS = Counter("harken_bus_reconnects_total", "Connections to NATS that were lost and made again.")
DROPPED = Counter("harken_bus_messages_dropped_total", "Messages that a slow subscription here lost.", ["subject"])
VIOLATIONS = Counter("harken_bus_permission_violations_total", "Operations that NATS refused.", ["kind", "subject"])


def subject_pattern(subject: str) -> str:
    """The subject without ids: its first two tokens, or the fixed head of a JetStream call."""
    tokens = subject.split(".")
    kept = 4 if tokens[0].lower() == "$js" else 2
    if tokens[0].lower() in ("live", "transcripts") or tokens[0].lower().startswith("_inbox"):
        kept = 1
    return ".".join([*tokens[:kept], *([_PLACEHOLDER] if len(tokens) > kept else [])])


class ConnectionEvents:
    """Receives nats-py's callbacks of one connection. Loop thread only."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lost_at: float | None = None
        self._logged_at: dict[tuple[str, str], float] = {}
        self.closed = asyncio.Event()
        self.connected = asyncio.Event()
        """Set while there is a connection."""
        self.disconnected = asyncio.Event()
        """Set while there is none."""
        self.disconnected.set()
        self.last_error = ""

    def on_connected(self) -> None:
        """The first connection stands."""
        self._set_connected(True)

    async def wait_connected_or_closed(self) -> None:
        """Return once either event is set."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.connected, self.closed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def on_disconnected(self, *, expected: bool) -> None:
        """The connection is gone; unless that was our own close (`expected`), the client tries again by itself."""
        self._set_connected(False)
        if self._lost_at is None and not expected:
            self._lost_at = time.monotonic()
            _log.warning("connection to NATS lost", extra={"connection": self._name})

    def on_reconnected(self) -> None:
        """The connection is back."""
        RECONNECTS.inc()
        self._set_connected(True)
        outage_s = 0.0 if self._lost_at is None else time.monotonic() - self._lost_at
        self._lost_at = None
        _log.info("connection to NATS is back", extra={"connection": self._name, "outage_s": round(outage_s, 3)})

    def on_closed(self, *, expected: bool) -> None:
        """The client is at its end: our own close, or one that the server forced."""
        self._set_connected(False)
        self.closed.set()
        if not expected:
            _log.error("connection to NATS closed for good", extra={"connection": self._name, "error": self.last_error})

    def on_error(self, error: Exception) -> None:
        """An error that nats-py could not raise anywhere."""
        self.last_error = str(error) or type(error).__name__
        if isinstance(error, nats.errors.SlowConsumerError):
            pattern = subject_pattern(error.subject)
            DROPPED.labels(pattern).inc()
            self._warn("subscription too slow, messages dropped", pattern)
        elif violation := _VIOLATION.search(str(error)):
            kind, pattern = violation[1].lower(), subject_pattern(violation[2])
            self.last_error = f"permission refused for {kind} to {pattern}"
            VIOLATIONS.labels(kind, pattern).inc()
            self._warn("operation refused by NATS permissions", pattern, kind=kind)
        else:
            _log.debug("NATS client error", extra={"connection": self._name, "error": self.last_error})

    def _set_connected(self, connected: bool) -> None:
        (self.connected if connected else self.disconnected).set()
        (self.disconnected if connected else self.connected).clear()

    def _warn(self, message: str, pattern: str, **fields: str) -> None:
        now = time.monotonic()
        if now - self._logged_at.get((message, pattern), -_LOG_INTERVAL_S) < _LOG_INTERVAL_S:
            return
        self._logged_at[(message, pattern)] = now
        _log.warning(message, extra={"connection": self._name, "subject": pattern, **fields})
