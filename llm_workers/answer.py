"""One attempt at an answer: from the request to its last piece, while the engine works on it."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bus.contract.chat_work import ChatDone, ChatReply, ChatRequest, ChatTimings
from llm_workers import results
from llm_workers.budget import Budget, Fitted, TooLong
from llm_workers.deltas import DeltaBatch, Gathered
from llm_workers.engines.base import Engine, Event, Finished, GenerationFailed
from llm_workers.silence import Silence

Say = Callable[[ChatReply], Awaitable[None]]
"""Sends one reply to the gateway; raises BusUnavailable."""


class AttemptFailed(Exception):
    """The attempt is over without an end of the answer."""

    def __init__(self, failure: results.Failure, *, by_engine: bool = False) -> None:
        super().__init__(failure[0])
        self.failure = failure
        self.by_engine = by_engine
        """Whether the engine is to blame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an engine may be silent."""

    first_token_s: float
    next_token_s: float


class Answer:
    """Run `run` once. Cancelling it stops the engine."""

    def __init__(
        self, request: ChatRequest, engine: Engine, say: Say, *, worker: str, patience: Patience, queue_s: float
    ) -> None:
        self._request = request
        self._engine = engine
        self._say = say
        self._worker = worker
        self._patience = patience
        self._queue_s = queue_s
        self._batch = DeltaBatch()
        self._due = asyncio.Event()
        """Something is to be sent, or nothing follows."""
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self._deltas = 0
        self._began_at = 0.0
        self._first_piece_at: float | None = None
        self._first_delta_at: float | None = None
        self._ended_at = 0.0
        self.dropped_turns = 0
        """How many turns the context had no room for."""

    async def run(self) -> ChatDone:
        """Say that it is taken, then all deltas; return the last word. Raises AttemptFailed and BusUnavailable."""
        request, model = self._request, self._engine.capabilities.model
        try:
            async with asyncio.timeout(request.deadline_s):
                await self._say(results.taken(request, worker=self._worker, model=model))
                finished = await self._generate()
        except TimeoutError:
            raise AttemptFailed(results.LATE) from None
        except GenerationFailed as error:
            failure = results.broke_off(str(error), retryable=error.retryable)
            raise AttemptFailed(failure, by_engine=error.by_engine) from None
        return results.done(
            request, finished, deltas=self._deltas, timings=self._timings(), worker=self._worker, model=model
        )

    async def _generate(self) -> Finished:
        self._began_at = time.monotonic()
        if self._request.prefill and not self._engine.capabilities.can_prefill:
            raise AttemptFailed(results.CANNOT_CONTINUE)
        fitted = await self._fit()
        self.dropped_turns = fitted.dropped_turns
        async with _closing(self._engine.generate(results.prompt_of(self._request, fitted))) as events:
            return await self._relay(events)

    async def _fit(self) -> Fitted:
        request = self._request
        try:
            budget = Budget(
                request.messages,
                prefill=request.prefill,
                max_tokens=request.max_tokens,
                context_tokens=self._engine.capabilities.context_tokens,
            )
            while budget.fitted is None:
                budget.on_count(await self._engine.count_tokens(budget.candidate(), request.prefill))
        except TooLong:
            raise AttemptFailed(results.TOO_LONG) from None
        return budget.fitted

    async def _relay(self, events: AsyncIterator[Event]) -> Finished:
        """Pass the pieces on as they are due, until the end."""
        reading = asyncio.create_task(self._read(events), name="read")
        sending = asyncio.create_task(self._send(), name="send")
        try:
            await asyncio.wait((reading, sending), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await asyncio.wait((sending,))  # what there is goes out, however the answer ended
            sending.result()
            return reading.result()
        finally:
            for task in (reading, sending):
                task.cancel()
            await asyncio.wait((reading, sending))
            for task in (reading, sending):
                if not task.cancelled():
                    task.exception()

    async def _read(self, events: AsyncIterator[Event]) -> Finished:
        try:
            async with Silence(self._patience.first_token_s) as silence:
                async for event in events:
                    silence.broken(self._patience.next_token_s)
                    self._ended_at = now = time.monotonic()
                    if isinstance(event, Finished):
                        return event
                    self._first_piece_at = self._first_piece_at or now
                    self._batch.add(event.text)
                    self._send_when_due()
        except TimeoutError:
            raise AttemptFailed(results.SILENT, by_engine=True) from None
        finally:
            self._is_over = True
            self._due.set()
        raise GenerationFailed("the engine gave no end of the answer", retryable=True)

    def _send_when_due(self) -> None:
        due_at = self._batch.due_at()
        if due_at is not None and self._timer is None:
            delay_s = max(0.0, due_at - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._due.set)

    async def _send(self) -> None:
        try:
            while not self._is_over:
                await self._due.wait()
                self._due.clear()
                self._timer = None
                await self._emit(self._batch.take_due(time.monotonic()))
                self._send_when_due()
        finally:
            if self._timer is not None:
                self._timer.cancel()
        await self._emit(self._batch.take_all())

    async def _emit(self, gathered: Gathered) -> None:
        if not gathered.text:
            return
        self._deltas += 1
        await self._say(results.delta(self._request, gathered, seq=self._deltas))
        self._first_delta_at = self._first_delta_at or time.monotonic()

    def _timings(self) -> ChatTimings:
        first_piece_at = self._first_piece_at or self._ended_at
        return ChatTimings(
            queue_s=self._queue_s,
            prefill_s=first_piece_at - self._began_at,
            emit_s=(self._first_delta_at or first_piece_at) - first_piece_at,
            generate_s=self._ended_at - first_piece_at,
        )


@asynccontextmanager
async def _closing(events: AsyncIterator[Event]) -> AsyncIterator[AsyncIterator[Event]]:
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
