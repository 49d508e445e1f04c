"""Any server that speaks /v1/chat/completions: one that runs already, or llama.cpp's, which this engine starts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Self

from bus.contract.chat_work import ChatMessage
from llm_workers.engines.base import (
    EngineCapabilities,
    EngineOptions,
    EngineUnavailable,
    Event,
    GenerationFailed,
    Piece,
    Prompt,
)
from llm_workers.engines.chat_stream import ChatStream
from llm_workers.engines.dialects import Dialect, chat_body, estimate_tokens
from llm_workers.engines.llama_process import LlamaProcess
from llm_workers.engines.model_server import ModelServer, ServerFacts

_DEFAULT_SLOTS = 8
"""Of a server that does not say how many answers it generates at the same time."""
_SETTINGS = ("dialect", "server_model")
_PROBE_PREFILL = "One two three four five"
_PROBE_TOKENS = 8


class OpenAiCompatibleEngine:
    """Settings: `dialect` (llama.cpp, vllm, sglang or openai; found out by default), `server_model` (the model's name
    there; by default the same, or the only one that the server has).
    """

    def __init__(
        self, server: ModelServer, child: LlamaProcess | None, facts: ServerFacts, options: EngineOptions
    ) -> None:
        self._server = server
        self._child = child
        self._facts = facts
        self._repeats_prefill = False
        self._never = asyncio.Event()
        self._capabilities = EngineCapabilities(
            model=options.model_name,
            slots=options.slots or facts.slots or _DEFAULT_SLOTS,
            context_tokens=_least(options.context_tokens, facts.context_tokens),
            can_prefill=facts.dialect.can_prefill,
            caches_prompts=facts.dialect.caches_prompts,
        )

    @classmethod
    async def open(cls, options: EngineOptions) -> Self:
        """Find out what the server is and can, and have it give one short answer."""
        unknown = sorted(set(options.settings) - set(_SETTINGS))
        if unknown:
            raise EngineUnavailable(f"unknown engine settings {', '.join(unknown)}; known are {', '.join(_SETTINGS)}")
        dialect = _dialect(options.settings.get("dialect"))
        child = None if options.base_url else await LlamaProcess.start(options)
        if child is None:
            server = ModelServer(options.base_url, options.api_key, is_ours=False)
        else:
            server = ModelServer(f"{child.url}/v1", child.api_key, is_ours=True)
        try:
            model = options.settings.get("server_model", options.model_name)
            self = cls(server, child, await server.facts(model=model, dialect=dialect), options)
            await self._warm()
        except BaseException as error:
            await server.aclose()
            if child is not None:
                await child.aclose()
            if isinstance(error, GenerationFailed):
                raise EngineUnavailable(f"the first answer failed: {error}") from None
            raise
        return self

    @property
    def capabilities(self) -> EngineCapabilities:
        """What the server says, within what the options say."""
        return self._capabilities

    @property
    def ended(self) -> asyncio.Event:
        """Set when a server of our own is gone. One that ran already is not ours to give up."""
        return self._never if self._child is None else self._child.ended

    async def count_tokens(self, messages: tuple[ChatMessage, ...], prefill: str = "") -> int:
        """By the server's own template and tokenizer where it offers them, else an estimate."""
        return await self._server.count(self._facts, messages, prefill)

    async def generate(self, prompt: Prompt) -> AsyncIterator[Event]:
        """Stream one answer. Closing the iterator closes the connection, at which the server frees the slot."""
        if prompt.prefill and not self._capabilities.can_prefill:
            raise GenerationFailed("this server cannot go on after a given beginning", retryable=False)
        stream = ChatStream(
            prefill=prompt.prefill,
            repeats_prefill=self._repeats_prefill,
            estimated_prompt_tokens=estimate_tokens(prompt.messages, prompt.prefill),
        )
        body = chat_body(self._facts.dialect, model=self._facts.model, prompt=prompt)
        async with aclosing(self._server.stream(body)) as events:
            async for data in events:
                piece = stream.on_data(data)
                if piece is not None:
                    yield piece
        yield stream.end()

    async def aclose(self) -> None:
        """Close the connections, and end a server of our own."""
        await self._server.aclose()
        if self._child is not None:
            await self._child.aclose()

    async def _warm(self) -> None:
        """One answer that goes on after a beginning: loads the weights, and tells whether the beginning comes again.

        Versions of llama.cpp differ in that. A vendor's server has nothing to warm, and asks money for it.
        """
        if self._facts.dialect is Dialect.OPENAI:
            return
        question = (ChatMessage("user", "Count from one to ten in words."),)
        prompt = Prompt(
            session="", messages=question, prefill=_PROBE_PREFILL, max_tokens=_PROBE_TOKENS, temperature=0.0
        )
        pieces = [event.text async for event in self.generate(prompt) if isinstance(event, Piece)]
        self._repeats_prefill = "".join(pieces).startswith(_PROBE_PREFILL)


def _dialect(name: str | None) -> Dialect | None:
    if name is None:
        return None
    try:
        return Dialect(name)
    except ValueError:
        known = ", ".join(dialect.value for dialect in Dialect)
        raise EngineUnavailable(f"unknown dialect {name!r}; known are {known}") from None


def _least(*limits: int) -> int:
    """The lowest of the limits that there are, 0 if there is none."""
    return min((limit for limit in limits if limit), default=0)
