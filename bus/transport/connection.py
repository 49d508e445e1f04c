"""One connection to NATS. The client library's traps are met here, so that nobody above has to know them.

- Nothing is kept for later: without a connection a publish raises at once. nats-py would buffer it and send it after
  the reconnect, behind the caller's back.
- nats-py's flush writes its PING ahead of buffered publishes, and its read loop dies when the PONG of a cancelled or
  timed-out PING comes after all. Here a flush waits for the buffer first and its PING is shielded.
- nats-py's read loop may also die without a reconnect; a watchdog measures the round trip and forces one.
- nats-py's forced flush swallows cancellation; the limit that would trigger it is kept here instead.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from bus.contract.errors import BusUnavailable, InternalError
from bus.transport.connection_events import ConnectionEvents
from bus.transport.jetstream_api import EPOCH, AssetMissing, StoredAck, parse_reply, parse_stored
from bus.transport.restoration import Restoration
from bus.transport.round_trip import RoundTrip
from bus.transport.server_url import ServerUrl, parse_server_url
from bus.transport.subscription import Subscription

_RECONNECT_WAIT_S = 0.2
_SERVER_TIMEOUT_S = 2.0
"""For one server to take a connection: one that is cut off must not keep us from the next."""
_MAX_UNSENT_BYTES = 4 * 1024**2
_YIELD_ABOVE_BYTES = 256 * 1024
_HEADER_ALLOWANCE_BYTES = 1024
_FLUSH_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 2.0
_CANCELS = 5
_CANCEL_WAIT_S = 0.05
_API_TIMEOUT_S = 5.0
_WATCHDOG_INTERVAL_S = 2.0
_PENDING_BYTES_LIMIT = 64 * 1024**2
_log = logging.getLogger(__name__)


class BusConnection:
    """A connection that comes back by itself. Loop thread only; its calls may be made concurrently."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._client = Client()
        self._events = ConnectionEvents(name)
        self._restoration = Restoration()
        self._round_trip = RoundTrip(self._client, name)
        self._watchdog: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        name: str,
        inbox_prefix: str,
        connect_timeout_s: float = 5.0,
        watchdog_interval_s: float = _WATCHDOG_INTERVAL_S,
    ) -> Self:
        """Connect, trying again until `connect_timeout_s` is over or the login is refused; then raise BusUnavailable.

        `url` is one server or several separated by commas; name and password stand in the first.
        Replies arrive below `inbox_prefix`, which must be the role's own (`bus.transport.roles`). ValueError for a
        malformed URL.
        """
        servers = parse_server_url(url)
        self = cls(name)
        try:
            async with asyncio.timeout(connect_timeout_s):
                await self._client.connect(**self._options(servers, inbox_prefix))
        except (TimeoutError, OSError, nats.errors.Error) as error:
            reason = self._events.last_error or str(error) or "no answer"
            await self.aclose()
            text = f"no connection to NATS at {servers} within {connect_timeout_s:g} s: {reason.removeprefix('nats: ')}"
            raise BusUnavailable(text) from None
        except BaseException:
            await self.aclose()
            raise
        if not self._client.is_connected:
            # A server that hangs up before its first PONG leaves nats-py's connect() returning without a connection.
            await self.aclose()
            raise BusUnavailable("NATS closed the connection while it was being made")
        self._events.on_connected()
        self._watchdog = asyncio.create_task(self._round_trip.watch(watchdog_interval_s), name=f"bus-watchdog-{name}")
        return self

    @property
    def is_connected(self) -> bool:
        """Whether a publish has a chance now."""
        return bool(self._client.is_connected) and self._closing is None

    @property
    def closed(self) -> asyncio.Event:
        """Set when this connection will never work again: after `aclose`, or because the server forced it.

        A process that did not close it itself should exit with an error.
        """
        return self._events.closed

    async def wait_connected(self) -> None:
        """Return once there is a connection. Raises BusUnavailable when there will never be one again."""
        await self._events.wait_connected_or_closed()
        if self.closed.is_set():
            raise BusUnavailable("the connection to NATS is closed")

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have `callback` called after each reconnect, in order of registration, after the assets are ensured."""
        self._restoration.add(callback)

    def remove_on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Undo `on_reconnect`. Idempotent."""
        self._restoration.remove(callback)

    async def keep_ensured(self, ensure: Callable[[], Awaitable[None]]) -> None:
        """Run `ensure` now and, if that went well, first thing after each reconnect; it replaces the one before.

        A restarted server has lost its memory streams with their configuration.
        """
        await self._restoration.keep_ensured(ensure)

    async def ensure(self) -> None:
        """Run what `keep_ensured` was given, if anything. Concurrent callers share one run."""
        await self._restoration.ensure()

    async def publish(self, subject: str, data: bytes, *, reply_to: str = "") -> None:
        """Send without acknowledgement; at most once. Raises BusUnavailable when not connected; never keeps it."""
        await self._make_room(data)
        try:
            await self._client.publish(subject, data, reply=reply_to)
        except nats.errors.Error as error:
            raise BusUnavailable(f"not sent: {error}") from None
        if self._client.pending_data_size > _YIELD_ABOVE_BYTES:
            await asyncio.sleep(0)  # nats-py's publish never yields by itself, and its writer must get a turn

    async def someone_listens(self, subject: str, *, within_s: float) -> bool:
        """Send an empty message, and tell whether anybody is subscribed to it: a listener need not answer.

        False as soon as the broker says so; True if it has not within `within_s`. Raises BusUnavailable.
        """
        await self._make_room(b"")
        try:
            await self._client.request(subject, b"", timeout=within_s)
        except nats.errors.NoRespondersError:
            return False
        except nats.errors.TimeoutError:
            return True
        except nats.errors.Error as error:
            raise BusUnavailable(f"not sent: {error}") from None
        return True

    async def publish_stored(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str,
        after_seq: int | None = None,
        epoch: int = 0,
        timeout_s: float = 2.0,
    ) -> StoredAck:
        """Store in the stream that listens on `subject`, once per `msg_id` within the stream's duplicate window.

        With `after_seq` only if that is the newest message of the subject (0: if there is none): else it raises
        WrongLastSequence, though what is stored under this id, by whomever, may be told as a duplicate too. `epoch` is
        kept with the message, for others to see which owner of the subject wrote it.
        Raises BusUnavailable if there was no answer (it may be stored all the same: repeat with the same id), its
        subclass AssetMissing if no stream listens (`ensure`, then repeat), Overloaded if the stream is full.
        """
        headers = {"Nats-Msg-Id": msg_id}
        if after_seq is not None:
            headers |= {"Nats-Expected-Last-Subject-Sequence": str(after_seq), EPOCH: str(epoch)}
        return parse_stored((await self.request(subject, data, timeout_s=timeout_s, headers=headers)).data)

    async def request_api(self, call: str, body: bytes = b"", *, timeout_s: float = _API_TIMEOUT_S) -> dict[str, Any]:
        """Call `$JS.API.<call>`. Raises as `publish_stored`, and InternalError if JetStream refuses the request."""
        return parse_reply((await self.request(f"$JS.API.{call}", body, timeout_s=timeout_s)).data)

    async def request(
        self, subject: str, data: bytes, *, timeout_s: float, headers: dict[str, str] | None = None
    ) -> Msg:
        """Give the answer, headers and all: for this package.

        Raises BusUnavailable if none comes in time, its subclass AssetMissing if nobody listens.
        """
        await self._make_room(data)
        try:
            return await self._client.request(subject, data, timeout=timeout_s, headers=headers)
        except nats.errors.NoRespondersError:
            raise AssetMissing("no stream or consumer answers on this subject") from None
        except nats.errors.TimeoutError:
            raise BusUnavailable(f"no answer from JetStream within {timeout_s:g} s") from None
        except nats.errors.Error as error:
            raise BusUnavailable(f"not sent: {error}") from None

    async def subscribe(
        self,
        subject: str,
        handler: Callable[[str, bytes], None],
        *,
        pending_bytes_limit: int = _PENDING_BYTES_LIMIT,
    ) -> Subscription:
        """Call `handler(subject, data)` for each message, in the order of arrival; it must not block.

        Survives reconnects; messages meanwhile are missed. Above the limit the newest message is dropped and counted.
        Raises BusUnavailable when not connected.
        """
        return await self.subscribe_replies(
            subject, lambda message: handler(message.subject, message.data), pending_bytes_limit=pending_bytes_limit
        )

    async def subscribe_replies(
        self, subject: str, handler: Callable[[Msg], None], *, pending_bytes_limit: int = _PENDING_BYTES_LIMIT
    ) -> Subscription:
        """As `subscribe`, for this package: the handler sees headers and reply subject too."""

        async def deliver(message: Msg) -> None:
            try:
                handler(message)
            except Exception:  # one bad message must not end the subscription
                _log.exception("message handler failed", extra={"connection": self._name})

        self._check_connected()
        try:
            inner = await self._client.subscribe(subject, cb=deliver, pending_bytes_limit=pending_bytes_limit)
        except nats.errors.Error as error:
            raise BusUnavailable(f"not subscribed: {error}") from None
        return Subscription(self._client, inner, self.flush)

    def new_inbox(self) -> str:
        """A fresh subject below this connection's inbox prefix."""
        return str(self._client.new_inbox())

    async def flush(self) -> None:
        """Return once the server has processed all that was published and subscribed before. Raises BusUnavailable."""
        deadline = time.monotonic() + _FLUSH_TIMEOUT_S
        await self._wait_unsent(at_most=0, deadline=deadline)
        await self._round_trip.ping()

    async def aclose(self) -> None:
        """Handle what has arrived, send what was published, close. Bounded, idempotent, never raises."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name=f"bus-close-{self._name}")
        await asyncio.shield(self._closing)

    def _options(self, servers: ServerUrl, inbox_prefix: str) -> dict[str, Any]:
        async def on_error(error: Exception) -> None:
            self._events.on_error(error)
            if self._watchdog is None and _is_refusal(error):
                raise error  # ends nats-py's connect(): another try would only be refused again

        async def on_disconnected() -> None:
            self._events.on_disconnected(expected=self._closing is not None)

        async def on_reconnected() -> None:
            self._events.on_reconnected()
            self._restoration.begin()

        async def on_closed() -> None:
            self._events.on_closed(expected=self._closing is not None)

        return {
            "servers": list(servers.servers),
            "user": servers.user,
            "password": servers.password,
            "name": self._name,
            "inbox_prefix": inbox_prefix,
            "connect_timeout": _SERVER_TIMEOUT_S,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": _RECONNECT_WAIT_S,
            "ping_interval": 20,
            "pending_size": -1,  # no buffering without a connection, and no forced flush: `_make_room` bounds instead
            "drain_timeout": _CLOSE_TIMEOUT_S,
            "error_cb": on_error,
            "disconnected_cb": on_disconnected,
            "reconnected_cb": on_reconnected,
            "closed_cb": on_closed,
        }

    def _check_connected(self) -> None:
        if not self.is_connected:
            raise BusUnavailable("not connected to NATS")

    async def _make_room(self, data: bytes) -> None:
        limit = int(self._client.max_payload) - _HEADER_ALLOWANCE_BYTES
        if len(data) > limit:
            # Past the limit with its headers, the server would cut the connection instead of answering.
            raise InternalError(f"a message of {len(data)} bytes is over the broker's {limit}")
        await self._wait_unsent(at_most=_MAX_UNSENT_BYTES, deadline=time.monotonic() + _FLUSH_TIMEOUT_S)

    async def _wait_unsent(self, *, at_most: int, deadline: float) -> None:
        pause_s = 0.0
        while True:
            self._check_connected()
            if self._client.pending_data_size <= at_most:
                return
            if time.monotonic() > deadline:
                raise BusUnavailable("NATS takes no data")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s + 0.0001, 0.005)

    async def _close(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            await asyncio.gather(self._watchdog, return_exceptions=True)
        await self._restoration.aclose()
        for end in (self._client.drain, self._client.close):
            if not self._client.is_closed:
                await _run_bounded(end(), _CLOSE_TIMEOUT_S)
        self._events.on_closed(expected=True)


def _is_refusal(error: Exception) -> bool:
    return "authorization violation" in str(error).lower()


async def _run_bounded(work: Coroutine[Any, Any, None], timeout_s: float) -> None:
    """Wait for `work` at most so long, whatever it raises. nats-py's drain swallows cancellation, once per wait."""
    task = asyncio.create_task(work)
    await asyncio.wait((task,), timeout=timeout_s)
    for _ in range(_CANCELS):
        if task.done():
            break
        task.cancel()
        await asyncio.wait((task,), timeout=_CANCEL_WAIT_S)
    if task.done() and not task.cancelled():
        task.exception()
