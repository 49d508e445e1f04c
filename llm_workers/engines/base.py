"""What a worker asks of a language model engine. Chosen by name (engines/table.py) and imported only then."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, Self, TypeAlias

from bus.contract.chat_work import ChatMessage, FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How to open an engine."""

    model_name: str
    """As sessions ask for it."""
    model_path: Path | None = None
    """Weights; None where the engine has none of its own."""
    base_url: str = ""
    """Of a server that runs already, up to and with `/v1`; empty: the engine starts its own."""
    api_key: str = field(default="", repr=False)
    device: Literal["cpu", "cuda", "auto"] = "auto"
    slots: int = 0
    """Answers at the same time; 0 is the engine's own choice."""
    threads: int = 0
    """CPU threads; 0 is the engine's own choice."""
    context_tokens: int = 0
    """Of one answer with its conversation; 0 is what the model was made for, within the engine's own bound."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What only one engine knows."""


class EngineUnavailable(Exception):
    """The engine cannot run here: weights, library, server or device are missing. One sentence says which."""


class GenerationFailed(Exception):
    """An answer broke off. The text holds no user words."""

    def __init__(self, message: str, *, retryable: bool, by_engine: bool | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        """Whether another worker, or this one later, may do better."""
        self.by_engine = retryable if by_engine is None else by_engine
        """Whether the engine may be broken: not where a server only has too much to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCapabilities:
    """What an open engine can do."""

    model: str
    slots: int
    """Answers that make progress at the same time."""
    context_tokens: int
    """Of one answer with its conversation; 0 if the engine does not say."""
    can_prefill: bool
    """Whether an answer can go on after a given beginning."""
    caches_prompts: bool
    """Whether a conversation that comes back here has its earlier turns computed already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One answer to generate. User words stay out of its repr."""

    session: str
    messages: tuple[ChatMessage, ...] = field(repr=False)
    """As in `ChatRequest`."""
    prefill: str = field(default="", repr=False)
    max_tokens: int
    temperature: float


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of one or more tokens, whole characters only."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end of an answer; nothing follows."""

    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    """Without the prefill."""
    cached_tokens: int = 0


Event: TypeAlias = Piece | Finished


class Engine(Protocol):
    """A model, in this process or behind a socket. All methods run on one event loop and never block it."""

    @classmethod
    async def open(cls, options: EngineOptions) -> Self:
        """Load the model, and warm it: the first answer is as fast as the next. Raises EngineUnavailable."""

    @property
    def capabilities(self) -> EngineCapabilities:
        """Constant after `open`."""

    async def count_tokens(self, messages: tuple[ChatMessage, ...], prefill: str = "") -> int:
        """Tokens of a prompt as `generate` would build it: by the model's own template and tokenizer.

        An estimate, never too low by much, where a server does not tell. Raises GenerationFailed.
        """

    def generate(self, prompt: Prompt) -> AsyncIterator[Event]:
        """Give the pieces of the answer as they come, the prefill left out, and at last one `Finished`.

        Closing the iterator, or cancelling who waits for it, stops the engine's work on it within 100 ms. A prompt
        that does not fit the context is the caller's fault: GenerationFailed, not retryable. Raises GenerationFailed
        where the engine fails; before the first piece it may have tried again by itself, after it never.
        """

    async def aclose(self) -> None:
        """Free the model; answers that run break off. Idempotent."""
