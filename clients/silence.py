"""A WebSocket that notices when the service has fallen silent."""

import asyncio

from websockets.asyncio.client import ClientConnection

SILENCE_LIMIT_S = 60.0
"""A service pings every 20 s and answers our own pings, so three in a row are missing."""
_LOOKS = 4


class ListeningConnection(ClientConnection):
    """Cuts itself once nothing at all came for `SILENCE_LIMIT_S`: no event, no ping, no pong.

    A late pong alone proves nothing: a service that holds back the reading answers our ping minutes later, behind
    the audio, while its own pings still come.

    Silence is counted in looks, not by the clock, for a loop that was blocked for a minute has not listened. While
    the application takes no events the socket is paused: then the silence is ours.
    """

    _silent_looks = 0
    _cut_after_s: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        super().connection_made(transport)
        self._limit_s = SILENCE_LIMIT_S
        self._next_look = self.loop.call_later(self._limit_s / _LOOKS, self._look)

    def data_received(self, data: bytes) -> None:
        """Note that the service lives."""
        self._silent_looks = 0
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        self._next_look.cancel()
        super().connection_lost(exc)

    @property
    def close_reason(self) -> str | None:
        """Reason of the close frame, or why there was none."""
        if self._cut_after_s is not None:
            return f"the service fell silent, nothing came from it for {self._cut_after_s:g} s"
        return super().close_reason

    def _look(self) -> None:
        self._silent_looks = self._silent_looks + 1 if self.transport.is_reading() else 0
        if self._silent_looks > _LOOKS:
            self._cut_after_s = self._limit_s
            self.transport.abort()
            return
        self._next_look = self.loop.call_later(self._limit_s / _LOOKS, self._look)
