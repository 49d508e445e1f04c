"""One attempt at an answer: from the request to its last piece, while the engine works on it."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bus.contract.chat_work import ChatDone, ChatReply, ChatRequest, ChatTimings
from llm_workers import results
from llm_workers.budget import Budget, Fitted, TooLong
from llm_workers.deltas import DeltaBatch
from llm_workers.engines.base import Engine, Event, Finished, GenerationFailed

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
            raise AttemptFailed(failure, by_engine=error.retryable) from None
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
            try:
                return await self._relay(events)
            except (GenerationFailed, AttemptFailed):
                await self._emit(self._batch.take_all())  # who goes on need not generate it again
                raise

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
        silent_at = time.monotonic() + self._patience.first_token_s
        while True:
            coming = asyncio.create_task(_next(events))
            try:
                await self._wait(coming, silent_at)
            finally:
                # A cancelled wait for the engine, or one given up, must not go on behind the closing of the iterator.
                coming.cancel()
                await asyncio.wait((coming,))
            event, now = coming.result(), time.monotonic()
            silent_at = now + self._patience.next_token_s
            if isinstance(event, Finished):
                await self._emit(self._batch.take_all())
                self._ended_at = now
                return event
            self._first_piece_at = self._first_piece_at or now
            self._batch.add(event.text)
            await self._emit(self._batch.take_due(now))

    async def _wait(self, coming: asyncio.Task[Event], silent_at: float) -> None:
        while not coming.done():
            due_at = self._batch.due_at()
            until = silent_at if due_at is None else min(silent_at, due_at)
            await asyncio.wait((coming,), timeout=max(0.0, until - time.monotonic()))
            now = time.monotonic()
            await self._emit(self._batch.take_due(now))
            if now >= silent_at and not coming.done():
                raise AttemptFailed(results.SILENT, by_engine=True)

    async def _emit(self, text: str) -> None:
        if not text:
            return
        self._deltas += 1
        await self._say(results.delta(self._request, seq=self._deltas, text=text))
        self._first_delta_at = self._first_delta_at or time.monotonic()

    def _timings(self) -> ChatTimings:
        first_piece_at = self._first_piece_at or self._ended_at
        return ChatTimings(
            queue_s=self._queue_s,
            prefill_s=first_piece_at - self._began_at,
            emit_s=(self._first_delta_at or first_piece_at) - first_piece_at,
            generate_s=self._ended_at - first_piece_at,
        )


async def _next(events: AsyncIterator[Event]) -> Event:
    event = await anext(events, None)
    if event is None:
        raise GenerationFailed("the engine gave no end of the answer", retryable=True)
    return event


@asynccontextmanager
async def _closing(events: AsyncIterator[Event]) -> AsyncIterator[AsyncIterator[Event]]:
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
