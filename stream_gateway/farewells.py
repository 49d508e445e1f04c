"""Clients that read no refusal of an upgrade: where there is no room they are let in, told so, and shown out."""

import asyncio
from http import HTTPStatus
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from bus.contract.errors import ClientError, Overloaded
from stream_gateway.dialects import whisper_live
from stream_gateway.dialects.refusals import Refusal
from stream_gateway.dialects.whisper_live_messages import told_to_wait

_MOST = 64
"""Told at a time; who comes beyond that is refused like all others."""
_HELLO_WITHIN_S = 5.0
_MAX_HELLO_BYTES = 64 * 1024


class Farewells:
    """Clients of WhisperLive: their protocol has a word for a full service, and they look at nothing else."""

    def __init__(self) -> None:
        self._waits_s: WeakKeyDictionary[ServerConnection, int] = WeakKeyDictionary()

    def admit(self, connection: ServerConnection, path: str, refusal: Refusal) -> bool:
        """Whether this client is let in to be told. To be followed by its upgrade, and `tell`."""
        is_full = refusal.status == HTTPStatus.SERVICE_UNAVAILABLE and refusal.retry_after_s is not None
        if path not in whisper_live.PATHS or not is_full or len(self._waits_s) >= _MOST:
            return False
        self._waits_s[connection] = refusal.retry_after_s or 0
        connection.protocol.max_message_size = _MAX_HELLO_BYTES
        return True

    async def tell(self, socket: ServerConnection) -> bool:
        """If it was let in for that, tell a client to come again, and close its socket."""
        wait_s = self._waits_s.get(socket)
        if wait_s is None:
            return False
        try:
            async with asyncio.timeout(_HELLO_WITHIN_S):
                hello = await socket.recv()
            if isinstance(hello, str):
                await socket.send(told_to_wait(hello, wait_s))
        except (TimeoutError, ConnectionClosed, ClientError):
            pass  # it does not say who it is: the close has to do
        finally:
            await socket.close(Overloaded.close_code, Overloaded.code)
            self._waits_s.pop(socket, None)
        return True
