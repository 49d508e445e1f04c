"""Language models in this process: transformers with its continuous batching, on a CPU or on CUDA.

For machines where no inference server is wanted. Weights are a folder of safetensors or a GGUF file, which is
unpacked: for SmolLM2 135M the folder opens in some seconds, the file in half a minute.

The library's batching runs on a CPU too, with `sdpa` attention over its paged cache. Each step reads all weights there,
unpacked, so that llama.cpp is several times as fast; the batch wins back some of it.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import psutil
import torch
from transformers import ContinuousBatchingConfig

from bus.contract.chat_work import ChatMessage
from llm_workers.engines.base import (
    EngineCapabilities,
    EngineOptions,
    EngineUnavailable,
    Event,
    Finished,
    GenerationFailed,
    Piece,
    Prompt,
)
from llm_workers.engines.torch_batching import Batching
from llm_workers.engines.torch_budget import (
    BLOCK_TOKENS,
    CPU_BATCH_TOKENS,
    CPU_SLOTS,
    CUDA_BATCH_TOKENS,
    CUDA_SLOTS,
    TorchSettings,
    cache_blocks,
    context_tokens,
    room,
    torch_settings,
)
from llm_workers.engines.torch_model import TorchModel, cached_bytes_per_token, load_model
from llm_workers.engines.torch_text import Detokeniser

_ANSWERS_PER_SLOT = 4
"""Answers that may be there at once, most of them waiting: more are refused, retryable."""
_WARM_UP = ChatMessage("user", "Hello! Who are you, and what can you tell me about the sea?")
_WARM_UP_TOKENS = 8


class TorchEngine:
    """Many answers at once in one batch, each with its own temperature; 0 is greedy."""

    def __init__(self, model: TorchModel, batching: Batching, capabilities: EngineCapabilities) -> None:
        """As `open` does it."""
        self._model = model
        self._batching = batching
        self._capabilities = capabilities
        self._tokenizing = ThreadPoolExecutor(1, "prompt")
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, options: EngineOptions) -> Self:
        """Load a folder or a GGUF file and answer once. `options.settings` as in `TorchSettings`."""
        try:
            settings = torch_settings(options.settings)
        except ValueError as error:
            raise EngineUnavailable(str(error)) from error
        torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
        return await cls.on(await asyncio.to_thread(load_model, options, settings), options, settings)

    @classmethod
    async def on(cls, model: TorchModel, options: EngineOptions, settings: TorchSettings) -> Self:
        """Open on a model in memory. Raises as `open`."""
        slots = options.slots or (CPU_SLOTS if model.device == "cpu" else CUDA_SLOTS)
        context = context_tokens(asked=options.context_tokens, of_model=model.context_tokens)
        try:
            config = _batching_config(model, settings, slots=slots, context=context)
            batching = Batching(model.weights, config, end_tokens=model.end_tokens, min_p=settings.min_p)
            await asyncio.to_thread(batching.start)
        except Exception as error:  # whatever the library and CUDA raise
            raise EngineUnavailable(f"continuous batching cannot start: {error}") from error
        capabilities = EngineCapabilities(
            model=options.model_name,
            slots=slots,
            context_tokens=context,
            can_prefill=True,
            caches_prompts=settings.prompt_cache,
        )
        engine = cls(model, batching, capabilities)
        try:
            await engine._warm_up()
        except BaseException as error:
            await engine.aclose()
            if isinstance(error, GenerationFailed):
                raise EngineUnavailable(f"the first answer failed: {error}") from error
            raise
        return engine

    @property
    def capabilities(self) -> EngineCapabilities:
        """Prompts are cached whole blocks at a time; the library does not tell of an answer how much that saved it."""
        return self._capabilities

    async def count_tokens(self, messages: tuple[ChatMessage, ...], prefill: str = "") -> int:
        """Exact."""
        return len(await self._tokens(messages, prefill))

    async def generate(self, prompt: Prompt) -> AsyncIterator[Event]:
        """As the contract has it; a piece is what has come since the reader asked for the one before."""
        tokens = await self._tokens(prompt.messages, prompt.prefill)
        limit = room(prompt=len(tokens), max_tokens=prompt.max_tokens, context=self._capabilities.context_tokens)
        if not limit:
            raise GenerationFailed(
                f"the prompt of {len(tokens)} tokens does not fit the context of {self._capabilities.context_tokens}",
                retryable=False,
            )
        if self._batching.running >= _ANSWERS_PER_SLOT * self._capabilities.slots:
            raise GenerationFailed("the engine has too many answers waiting", retryable=True)
        text = Detokeniser(self._model.decode, tokens)
        answer = self._batching.submit(tokens, max_tokens=limit, temperature=float(prompt.temperature))
        read, complete = 0, False
        try:
            while not complete:
                await self._batching.wait(answer)
                complete = answer.complete
                new, read = answer.tokens[read:], len(answer.tokens)
                if piece := text.take(new):
                    yield Piece(piece)
        finally:
            self._batching.release(answer)
        yield Finished(
            reason="stop" if answer.tokens[-1] in self._model.end_tokens else "length",
            prompt_tokens=len(tokens),
            completion_tokens=read,
        )

    async def aclose(self) -> None:
        """Stop the threads, and free the model with the last reference to it."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await asyncio.to_thread(self._batching.stop)
        self._tokenizing.shutdown(wait=False)

    async def _tokens(self, messages: tuple[ChatMessage, ...], prefill: str) -> list[int]:
        if self._closing is not None:
            raise GenerationFailed("the engine is closed", retryable=True)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._tokenizing, self._model.prompt, messages, prefill)
        except ValueError as error:
            raise GenerationFailed(str(error), retryable=False) from None

    async def _warm_up(self) -> None:
        """Two answers together, greedy and sampled."""

        async def answer(temperature: float) -> None:
            prompt = Prompt(session="", messages=(_WARM_UP,), max_tokens=_WARM_UP_TOKENS, temperature=temperature)
            async for _ in self.generate(prompt):
                pass

        await asyncio.gather(answer(0), answer(1))


def _batching_config(
    model: TorchModel, settings: TorchSettings, *, slots: int, context: int
) -> ContinuousBatchingConfig:
    on_cpu = model.device == "cpu"
    batch_tokens = max(settings.batch_tokens or (CPU_BATCH_TOKENS if on_cpu else CUDA_BATCH_TOKENS), slots)
    per_token = cached_bytes_per_token(model.weights) + batch_tokens * model.weights.dtype.itemsize  # and the mask
    blocks = cache_blocks(
        slots=slots,
        context=context,
        free_bytes=int(_free_bytes(model.device) * settings.memory_share),
        bytes_per_token=per_token,
    )
    return ContinuousBatchingConfig(
        block_size=BLOCK_TOKENS,
        num_blocks=blocks,
        max_batch_tokens=batch_tokens,
        max_requests_per_batch=slots,
        max_memory_percent=1.0,  # `cache_blocks` has settled it
        allow_block_sharing=settings.prompt_cache,
        use_async_batching=False,
        use_cuda_graph=settings.cuda_graphs and model.device != "cpu",
        per_request_processors=True,
    )


def _free_bytes(device: str) -> int:
    free = psutil.virtual_memory().available if device == "cpu" else torch.cuda.mem_get_info()[0]
    return int(free)
