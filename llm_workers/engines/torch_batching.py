"""The continuous batching of transformers, seen from one event loop: answers go in, and their tokens come back.

A thread of the library computes one step after another; each takes every running answer one token further, and reads
new prompts as far as the step has room. Batching is synchronous: with the library's double buffering a cancel can meet
a step in flight that still needs the cache it frees, and breaks the thread.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers.generation.continuous_batching.requests import RequestStatus

from llm_workers.engines.base import GenerationFailed
from llm_workers.engines.torch_sampling import per_request_sampling

_CHECK_S = 1.0
"""How often one who waits for tokens looks whether the thread still lives."""


class RunningAnswer:
    """Tokens of one answer as they come. Nothing queues up: who comes late gets all that is there."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.tokens: list[int] = []
        self.complete = False
        self.failed = False
        self._changed = asyncio.Event()

    def update(self, output: Any) -> None:
        """Take over what the library says; the tokens it gives are all since the beginning."""
        self.tokens = output.generated_tokens
        self.complete = output.status == RequestStatus.FINISHED
        self.failed = output.status == RequestStatus.FAILED
        self._changed.set()

    def fail(self) -> None:
        """Break off."""
        self.failed = True
        self._changed.set()

    async def changed(self) -> None:
        """Wait until there is something new since the last time."""
        await self._changed.wait()
        self._changed.clear()


class Batching:
    """One model's manager and thread. All but `start` and `stop` belong on the event loop, and return at once."""

    def __init__(
        self, weights: Any, config: ContinuousBatchingConfig, *, end_tokens: frozenset[int], min_p: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._answers: dict[str, RunningAnswer] = {}
        self._numbers = count(1)
        self._manager = weights.init_continuous_batching(
            GenerationConfig(do_sample=True, top_k=0, eos_token_id=sorted(end_tokens)), config
        )
        self._manager.logit_processor = per_request_sampling(min_p)
        self._manager.output_router = _Router(self._loop, self._on_outputs)

    def start(self) -> None:
        """Allocate the cache, and start the thread; blocks. Raises what the library raises."""
        self._manager.warmup()
        self._manager.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread lives and takes requests."""
        status = self._manager.background_thread_status
        return self._manager.is_running() and status.can_accept_new_requests() is None

    @property
    def running(self) -> int:
        """Answers that are not at their end."""
        return len(self._answers)

    def submit(self, prompt: Sequence[int], *, max_tokens: int, temperature: float) -> RunningAnswer:
        """Hand an answer to the thread. GenerationFailed if that is gone."""
        if not self.is_running:
            raise _gone()
        answer = RunningAnswer(f"answer-{next(self._numbers)}")
        self._answers[answer.request_id] = answer
        self._manager.add_request(
            prompt, request_id=answer.request_id, max_new_tokens=max_tokens, streaming=True, temperature=temperature
        )
        return answer

    async def wait(self, answer: RunningAnswer) -> None:
        """Wait for more tokens or the end. GenerationFailed if the answer broke off or the thread is gone."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_S):
                    await answer.changed()
                    break
            if not self.is_running:
                raise _gone()
        if answer.failed:
            raise _gone()

    def release(self, answer: RunningAnswer) -> None:
        """Nobody reads this answer any more: it is cancelled if it runs, with the step in progress as its last."""
        if self._answers.pop(answer.request_id, None) and not (answer.complete or answer.failed):
            self._manager.cancel_request(answer.request_id)

    def stop(self) -> None:
        """End the thread after the step in progress; blocks until then. Running answers fail. Idempotent."""
        if self._manager.is_running():
            self._manager.stop(block=True, hard_stop=True)

    def _on_outputs(self, outputs: Sequence[Any]) -> None:
        for output in outputs:
            if answer := self._answers.get(output.request_id):
                answer.update(output)


class _Router:
    """Takes the place of the library's own, which keeps what comes of a cancelled request for ever."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_outputs: Any) -> None:
        self._loop = loop
        self._on_outputs = on_outputs

    def deliver(self, output: Any) -> None:
        self.deliver_batch([output])

    def deliver_batch(self, outputs: Sequence[Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._on_outputs, outputs)

    def fail_and_deliver(self, state: Any, error: Exception) -> None:
        state.status = RequestStatus.FAILED
        state.error = str(error)
        self.deliver(state.to_generation_output())


def _gone() -> GenerationFailed:
    return GenerationFailed("the engine's thread has ended", retryable=True)
