"""Continuous pull of single jobs from one durable consumer.

One pull of one message is out at a time, each wait of `fetch` under its own inbox for as long as nothing goes wrong.
Whenever a pull may still be alive in the broker though nobody waits for it (cancelled, silent, reconnected), its inbox
is withdrawn: the broker first, then what was on its way. A job that arrives so is kept for the next fetch, and given
back if none comes soon, for another worker may be idle.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from nats.aio.msg import Msg

from bus.contract.errors import BusUnavailable, HarkenError
from bus.transport.assets import PRIORITY_GROUP
from bus.transport.connection import BusConnection
from bus.transport.delivery import Job, read_job
from bus.transport.pull_protocol import PullOutcome, encode_pull, has_heartbeat, read_status
from bus.transport.subscription import Subscription

_GRACE_S = 0.5
"""How much later than its expiry the end of a pull may be told."""
_FIRST_PAUSE_S = 0.05
_MAX_PAUSE_S = 1.0
_KEEP_S = 0.25
"""How long a job waits here for a fetch before it is given back."""
_log = logging.getLogger(__name__)


class _Inbox:
    """A reply subject and the answer to the one pull that is out on it."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.subscription: Subscription | None = None
        self.answer: asyncio.Future[Job | PullOutcome] | None = None
        self.heard_at = 0.0
        """Loop time of the last sign of life of the pull."""

    def settle(self, result: Job | PullOutcome) -> bool:
        """End the wait for an answer; False if nobody waits."""
        if self.answer is None or self.answer.done():
            return False
        self.answer.set_result(result)
        return True


class RawPull:
    """Jobs of `consumer` one by one, in priority group `pool`. One fetch at a time. Loop thread only."""

    def __init__(
        self,
        connection: BusConnection,
        *,
        stream: str,
        consumer: str,
        priority: int = 0,
        expires_s: float = 30.0,
        idle_heartbeat_s: float = 1.0,
        give_back: Callable[[Job], Awaitable[None]] | None = None,
    ) -> None:
        """`give_back` gets the jobs that came and were not fetched; by default they are delivered again.

        A consumer that delivers once needs another: what it is told to deliver again it neither delivers nor gives up.
        """
        self._connection = connection
        self._call = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._priority = priority
        self._expires_s = expires_s
        self._heartbeat_s = idle_heartbeat_s
        self._give_back = give_back or _deliver_again
        self._kept: deque[Job] = deque()
        self._inbox: _Inbox | None = None
        self._fetching = False
        self._closed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        connection.on_reconnect(self._on_reconnect)

    async def fetch(self, *, wait_s: float | None) -> Job | None:
        """The next job, or None if there was none for `wait_s` (0 asks once, None waits without end).

        Survives outages of the broker, within `wait_s`. Cancel-safe: a job on its way is kept for the next fetch, or
        given back. None also after `aclose`. Raises BusUnavailable once the connection is closed for good, and
        RuntimeError if another fetch is running.
        """
        if self._fetching:
            raise RuntimeError("one fetch at a time")
        self._fetching = True
        try:
            return await self._fetch(wait_s)
        finally:
            self._fetching = False

    async def aclose(self) -> None:
        """Give back what is kept, end the interest. A waiting fetch returns None. Idempotent, never raises."""
        self._closed.set()
        self._connection.remove_on_reconnect(self._on_reconnect)
        await self._on_reconnect()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._kept:
            await self._give_back(self._kept.popleft())

    async def _fetch(self, wait_s: float | None) -> Job | None:
        loop = asyncio.get_running_loop()
        deadline = None if wait_s is None else loop.time() + wait_s
        pause_s = _FIRST_PAUSE_S
        asked = False
        while not self._closed.is_set():
            if self._kept:
                return self._kept.popleft()
            remaining_s = None if deadline is None else deadline - loop.time()
            if asked and remaining_s is not None and remaining_s <= 0:
                return None
            asked = True
            outcome = await self._pull(remaining_s)
            match outcome:
                case Job():
                    return outcome
                case PullOutcome.NOTHING | PullOutcome.ALIVE | PullOutcome.REISSUE:
                    pause_s = _FIRST_PAUSE_S
                case PullOutcome.MISSING | PullOutcome.BACK_OFF if not self._connection.is_connected:
                    await self._wait_connected(deadline)
                    pause_s = _FIRST_PAUSE_S
                case PullOutcome.MISSING | PullOutcome.BACK_OFF:
                    await self._recover(outcome, pause_s, deadline)
                    pause_s = min(2 * pause_s, _MAX_PAUSE_S)
        return None

    async def _pull(self, remaining_s: float | None) -> Job | PullOutcome:
        """One pull, to its end. Leaves no pull behind in the broker that nobody waits for."""
        expires_s = self._expires_s if remaining_s is None else max(0.0, min(self._expires_s, remaining_s))
        try:
            inbox = await self._open_inbox()
            answer: asyncio.Future[Job | PullOutcome] = asyncio.get_running_loop().create_future()
            inbox.answer = answer
            body = encode_pull(
                expires_s=expires_s or None,
                heartbeat_s=self._heartbeat_s,
                group=PRIORITY_GROUP,
                priority=self._priority,
            )
            await self._connection.publish(self._call, body, reply_to=inbox.subject)
        except BusUnavailable:
            self._retire()
            return PullOutcome.BACK_OFF
        try:
            if await self._is_lost(inbox, answer, expires_s):
                self._retire()
                return PullOutcome.REISSUE
        except asyncio.CancelledError:
            self._retire()
            if answer.done() and isinstance(job := answer.result(), Job):
                self._keep(job)  # it came in the same turn of the loop as the cancellation
            raise
        return answer.result()

    async def _is_lost(self, inbox: _Inbox, answer: asyncio.Future[Job | PullOutcome], expires_s: float) -> bool:
        """Wait for the answer. True if two heartbeats, or the end of the pull, went missing."""
        loop = asyncio.get_running_loop()
        inbox.heard_at = loop.time()
        ends_at = loop.time() + expires_s + _GRACE_S
        silence_s = math.inf
        if has_heartbeat(expires_s, self._heartbeat_s):
            silence_s = 2 * self._heartbeat_s + _GRACE_S
        while (now := loop.time()) < (patience_ends_at := min(ends_at, inbox.heard_at + silence_s)):
            await asyncio.wait((answer,), timeout=patience_ends_at - now)
            if answer.done():
                return False
        return True

    async def _open_inbox(self) -> _Inbox:
        if self._inbox is None:
            inbox = self._inbox = _Inbox(self._connection.new_inbox())
            inbox.subscription = await self._connection.subscribe_replies(
                inbox.subject, lambda message: self._on_message(inbox, message)
            )
        return self._inbox

    def _on_message(self, inbox: _Inbox, message: Msg) -> None:
        headers = message.headers or {}
        if (status := headers.get("Status")) is None:
            job = read_job(message, partial(self._connection.publish, message.reply))
            if not inbox.settle(job):
                self._offer(job)
            return
        inbox.heard_at = asyncio.get_running_loop().time()
        outcome = read_status(status, headers.get("Description", ""))
        if outcome is not PullOutcome.ALIVE:
            inbox.settle(outcome)

    def _offer(self, job: Job) -> None:
        """Take a job that came on a retired inbox."""
        if self._inbox is not None and self._inbox.settle(job):
            self._retire()  # that fetch has its job now, and its own pull is still out
        else:
            self._keep(job)

    def _keep(self, job: Job) -> None:
        self._kept.append(job)
        self._start(self._give_back_unless_fetched(job))

    async def _give_back_unless_fetched(self, job: Job) -> None:
        try:
            async with asyncio.timeout(_KEEP_S):
                await self._closed.wait()
        except TimeoutError:
            if job in self._kept:
                self._kept.remove(job)
                await self._give_back(job)

    def _retire(self) -> None:
        """Withdraw the inbox, if any, in the background; what its pull still brings is offered to the next fetch."""
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.answer = None
            if inbox.subscription is not None:
                self._start(inbox.subscription.withdraw())

    async def _on_reconnect(self) -> None:
        """Start from a fresh inbox: pulls do not survive the server, but may survive a mere loss of connection."""
        if self._inbox is not None:
            self._inbox.settle(PullOutcome.REISSUE)
        self._retire()

    async def _wait_connected(self, deadline: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._connection.wait_connected()
                await asyncio.sleep(_FIRST_PAUSE_S)  # it counts as connected for a moment while it is being closed

    async def _recover(self, outcome: PullOutcome, pause_s: float, deadline: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                try:
                    if outcome is PullOutcome.MISSING:
                        await self._connection.ensure()
                except HarkenError as error:
                    if self._connection.closed.is_set():
                        raise
                    _log.warning("consumer not available yet", extra={"reason": error.message})
                await asyncio.sleep(pause_s)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _deliver_again(job: Job) -> None:
    try:
        await job.nak()
    except BusUnavailable:
        _log.debug("a job was not given back: the broker delivers it again after its ack_wait")
