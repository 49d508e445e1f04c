"""What differs between servers that speak /v1/chat/completions. Values only, no I/O."""

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from bus.contract.chat_work import ChatMessage
from llm_workers.engines.base import Prompt

_ASCII_PER_TOKEN = 3.0
"""English has four and more characters a token; figures, code and names have fewer."""
_TOKENS_PER_OTHER = 1.5
"""Of a character outside ASCII."""
_TOKENS_PER_MESSAGE = 8


class Dialect(Enum):
    """A family of servers."""

    LLAMA_CPP = "llama.cpp"
    VLLM = "vllm"
    SGLANG = "sglang"
    OPENAI = "openai"
    """Vendors, and whatever else is not known: nothing beyond the API itself is used."""

    @property
    def can_prefill(self) -> bool:
        """Whether an answer can go on after a given beginning."""
        return self is not Dialect.OPENAI

    @property
    def caches_prompts(self) -> bool:
        """Whether it keeps what it computed of a conversation."""
        return self is not Dialect.OPENAI


def chat_body(dialect: Dialect, *, model: str, prompt: Prompt) -> dict[str, Any]:
    """The request for one streamed answer."""
    body: dict[str, Any] = {
        "model": model,
        "messages": wire_messages(prompt.messages, prompt.prefill),
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if dialect is Dialect.LLAMA_CPP:
        # No slot is named: the server takes the one with the longest common beginning, and keeps in memory what another
        # conversation pushes out of its slot. Six conversations on four slots find all their turns again.
        body["cache_prompt"] = True
        # It looks for a client that has gone only when it has something to say, and without this it says nothing until
        # the whole prompt is read: a cancel would wait for that.
        body["return_progress"] = True
    return {**body, **continuation(dialect, prompt.prefill)}


def continuation(dialect: Dialect, prefill: str) -> Mapping[str, Any]:
    """What tells a server that the trailing assistant's message is a beginning; llama.cpp takes it for one unasked."""
    if prefill and dialect in (Dialect.VLLM, Dialect.SGLANG):
        return {"add_generation_prompt": False, "continue_final_message": True}
    return {}


def wire_messages(messages: Sequence[ChatMessage], prefill: str) -> list[dict[str, str]]:
    """The conversation, and how the answer begins as a trailing assistant's message."""
    wire = [{"role": message.role, "content": message.text} for message in messages]
    if prefill:
        wire.append({"role": "assistant", "content": prefill})
    return wire


def estimate_tokens(messages: Sequence[ChatMessage], prefill: str) -> int:
    """For servers that do not count: seldom too low, often a third too high."""
    texts = [*(message.text for message in messages), prefill]
    ascii_chars = sum(sum(character < "\x80" for character in text) for text in texts)
    others = sum(map(len, texts)) - ascii_chars
    tokens = ascii_chars / _ASCII_PER_TOKEN + others * _TOKENS_PER_OTHER
    return math.ceil(tokens) + _TOKENS_PER_MESSAGE * (len(messages) + 1)
