"""A deterministic engine for tests: its answer says which conversation it belongs to, and how far it has come.

The answer to a last user message of k words is those words over and over, each with its number from 1: to "hello there"
it is "hello.1 there.2 hello.3 ...", one token a word. It is a function of the message alone, so an answer that was cut
anywhere and continued is exactly the uncut one, and a lost or doubled piece is seen by its number. It ends after
`DEFAULT_TOKENS` tokens, or as many as `scripted:tokens=<n>` asks for.

Words of the last message steer it: `scripted:fail` breaks the answer off after three tokens, retryable;
`scripted:refuse` before the first, not retryable; `scripted:hang` never gives another token; `scripted:crash` ends the
process after three tokens. They are no part of the answer. Settings: `tokens_per_s` (0, the default, does not wait),
`first_token_s`, `context_tokens`.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Self

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

DEFAULT_TOKENS = 24
_DEFAULT_SLOTS = 4
_DEFAULT_CONTEXT_TOKENS = 4096
_DIRECTIVE = re.compile(r"scripted:(fail|refuse|hang|crash|tokens=([0-9]+))")
_FAILS_AFTER = 3
_CRASH_EXIT_CODE = 86


@dataclass(frozen=True, slots=True)
class _Script:
    text: str
    directives: frozenset[str]


class ScriptedEngine:
    """See the module text. `started`, `cancelled` and `running` tell a test in this process what became of answers."""

    def __init__(self, options: EngineOptions) -> None:
        self._capabilities = EngineCapabilities(
            model=options.model_name,
            slots=options.slots or _DEFAULT_SLOTS,
            context_tokens=options.context_tokens or _DEFAULT_CONTEXT_TOKENS,
            can_prefill=True,
            caches_prompts=False,
        )
        self._token_s = 1 / rate if (rate := _number(options.settings, "tokens_per_s")) else 0.0
        self._first_token_s = _number(options.settings, "first_token_s")
        self._closed = asyncio.Event()
        self.started: list[Prompt] = []
        self.cancelled: list[Prompt] = []
        self.running = 0

    @classmethod
    async def open(cls, options: EngineOptions) -> Self:
        """Needs neither weights nor a device."""
        return cls(options)

    @property
    def capabilities(self) -> EngineCapabilities:
        """As the options say, or four slots."""
        return self._capabilities

    async def count_tokens(self, messages: tuple[ChatMessage, ...], prefill: str = "") -> int:
        """A token is a word; a role is one too."""
        return sum(1 + len(message.text.split()) for message in messages) + len(prefill.split())

    async def generate(self, prompt: Prompt) -> AsyncIterator[Event]:
        """Give one piece a token, paced by the settings."""
        prompt_tokens = await self.count_tokens(prompt.messages, prompt.prefill)
        if prompt_tokens >= self._capabilities.context_tokens:
            raise GenerationFailed("the prompt does not fit the context", retryable=False)
        self.started.append(prompt)
        self.running += 1
        try:
            async for event in self._pieces(prompt, prompt_tokens):
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.append(prompt)
            raise
        finally:
            self.running -= 1

    async def aclose(self) -> None:
        """Break off what runs."""
        self._closed.set()

    async def _pieces(self, prompt: Prompt, prompt_tokens: int) -> AsyncIterator[Event]:
        script = _script_of(prompt.messages[-1].text)
        if "refuse" in script.directives:
            raise GenerationFailed("the script says so", retryable=False)
        rest = script.text.removeprefix(prompt.prefill) if script.text.startswith(prompt.prefill) else script.text
        tokens = re.findall(" ?[^ ]+", rest)
        allowed = min(prompt.max_tokens, self._capabilities.context_tokens - prompt_tokens)
        # Due times, not pauses: late wake-ups must not add up.
        due_at = asyncio.get_running_loop().time() + self._first_token_s
        for number, token in enumerate(tokens[:allowed], start=1):
            await self._wait_until(due_at)
            due_at += self._token_s
            yield Piece(token)
            if number == _FAILS_AFTER:
                await self._obey(script.directives)
        yield Finished(
            reason="stop" if len(tokens) <= allowed else "length",
            prompt_tokens=prompt_tokens,
            completion_tokens=min(len(tokens), allowed),
        )

    async def _obey(self, directives: frozenset[str]) -> None:
        if "fail" in directives:
            raise GenerationFailed("the script says so", retryable=True)
        if "crash" in directives:
            os._exit(_CRASH_EXIT_CODE)
        if "hang" in directives:
            await self._closed.wait()

    async def _wait_until(self, due_at: float) -> None:
        await asyncio.sleep(max(0.0, due_at - asyncio.get_running_loop().time()))
        if self._closed.is_set():
            raise GenerationFailed("the engine was closed", retryable=True)


def expected_answer(message: str) -> str:
    """The whole answer to a last user message."""
    return _script_of(message).text


def _script_of(message: str) -> _Script:
    count = DEFAULT_TOKENS
    directives = set()
    for match in _DIRECTIVE.finditer(message):
        if match[2]:
            count = int(match[2])
        else:
            directives.add(match[1])
    words = _DIRECTIVE.sub("", message).split() or ["yes"]
    text = " ".join(f"{words[number % len(words)]}.{number + 1}" for number in range(count))
    return _Script(text, frozenset(directives))


def _number(settings: Mapping[str, str], name: str) -> float:
    try:
        return float(settings.get(name, "0"))
    except ValueError:
        raise EngineUnavailable(f"the setting {name} of the scripted engine must be a number") from None
