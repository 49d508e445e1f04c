"""A WebSocket that notices when the service has fallen silent."""

import asyncio
import time

from websockets.asyncio.client import ClientConnection
from websockets.protocol import State

from clients.sleep_watch import SleepWatch

SILENCE_LIMIT_S = 60.0
"""Of a session that ends with its socket: a service that pings every 20 s has missed three."""
RESUMABLE_LIMIT_S = 12.0
"""Of a session that goes on elsewhere, with a service that pings every 5 s. A mistake costs a moment's pause."""
_LOOKS = 12
_LOOKS_AFTER_SLEEP = 2


class ListeningConnection(ClientConnection):
    """Cuts itself once nothing at all came for so long: no event, no ping, no pong.

    A late pong alone proves nothing: a service that holds back the reading answers our ping minutes later, behind
    the audio, while its own pings still come.

    Silence is counted in looks, not by the clock, for a loop that was blocked for a minute has not listened. While
    the application takes no events the socket is paused: then the silence is ours. After a sleep of this machine the
    service may be gone without a word: it is asked, and has `_LOOKS_AFTER_SLEEP` to answer.
    """

    _silent_looks = 0
    _quiet_looks = 0
    _cut_after_s: float | None = None
    _is_resumable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        super().connection_made(transport)
        self._listen_for(SILENCE_LIMIT_S)

    def listen_closely(self) -> None:
        """Cut sooner from now on, and after a sleep: the session goes on on another socket."""
        self._is_resumable = True
        self._next_look.cancel()
        if self.state is State.OPEN:
            self._listen_for(RESUMABLE_LIMIT_S)

    @property
    def quiet_s(self) -> float:
        """How long nothing was sent, as far as this machine was awake."""
        return self._quiet_looks * self._limit_s / _LOOKS

    def note_sent(self) -> None:
        """Note that the application has something to say."""
        self._quiet_looks = 0

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

    def _listen_for(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._silent_looks = 0
        self._sleep_watch = SleepWatch(monotonic_s=self.loop.time(), wall_s=time.time())
        self._next_look = self.loop.call_later(limit_s / _LOOKS, self._look)

    def _look(self) -> None:
        self._silent_looks = self._silent_looks + 1 if self.transport.is_reading() else 0
        if self._silent_looks >= _LOOKS:
            self._cut_after_s = self._limit_s
            self.transport.abort()
            return
        self._quiet_looks += 1
        interval_s = self._limit_s / _LOOKS
        has_slept = self._sleep_watch.has_slept(
            monotonic_s=self.loop.time(), wall_s=time.time(), due_after_s=interval_s
        )
        if has_slept and self._is_resumable and self.state is State.OPEN:
            self._silent_looks = max(self._silent_looks, _LOOKS - _LOOKS_AFTER_SLEEP)
            self.protocol.send_ping(b"awake")
            self.send_data()
        self._next_look = self.loop.call_later(interval_s, self._look)
