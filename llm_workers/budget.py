"""Making a conversation fit a model's context. Pure: who counts the tokens is asked for step by step.

What is dropped are the oldest turns, a user's message with what was answered to it, never the system text and never
the last turn. An answer that would be cut a little short is no reason to drop a turn. How many turns go is found by
halving: a count is a call to the model's own tokenizer, and more turns are never fewer tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bus.contract.chat_work import ChatMessage

_LEAST_ANSWER_TOKENS = 32
"""With less room than this, where more is asked for, the last turn counts as too long."""
_TEMPLATE_TOKENS = 256
"""More than any template adds of its own: its frame, and a system text where the conversation has none."""
_TEMPLATE_TOKENS_EACH = 16


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the engine gets."""

    messages: tuple[ChatMessage, ...] = field(repr=False)
    max_tokens: int
    dropped_turns: int = 0


class TooLong(Exception):
    """The last turn alone leaves no room for an answer."""


class Budget:
    """The search for one request. Ask `candidate`, tell `on_count`, until `fitted` is there."""

    def __init__(self, messages: Sequence[ChatMessage], *, prefill: str, max_tokens: int, context_tokens: int) -> None:
        self._system, self._turns = _split(messages)
        self._max_tokens = max_tokens
        self._context_tokens = context_tokens
        self._fits: tuple[int, int] | None = None
        self._least, self._most = 0, len(self._turns) - 1
        self.fitted: Fitted | None = None
        """The result."""
        if context_tokens == 0 or _surely(messages, prefill) + max_tokens <= context_tokens:
            self.fitted = Fitted(tuple(messages), max_tokens)

    def candidate(self) -> tuple[ChatMessage, ...]:
        """The conversation whose tokens are to be counted next, with the prefill."""
        return self._kept(self._next())

    def on_count(self, tokens: int) -> None:
        """Take in the count for `candidate`. Raises TooLong."""
        dropped = self._next()
        room = self._context_tokens - tokens
        if room >= self._needed(is_last=dropped == len(self._turns) - 1):
            self._fits = (dropped, min(self._max_tokens, room))
            self._most = dropped
        elif dropped == len(self._turns) - 1:
            raise TooLong(f"the last turn leaves no room in a context of {self._context_tokens} tokens")
        else:
            self._least = dropped + 1
        if self._fits is not None and self._least >= self._fits[0]:
            self.fitted = Fitted(self._kept(self._fits[0]), self._fits[1], dropped_turns=self._fits[0])

    def _next(self) -> int:
        if self._least == 0:
            return 0  # mostly all of it fits
        if self._fits is None and self._least == 1:
            return self._most  # and if not, it is known early whether anything can
        return (self._least + self._most) // 2

    def _needed(self, *, is_last: bool) -> int:
        if is_last:
            return min(self._max_tokens, _LEAST_ANSWER_TOKENS)
        return min(-(-self._max_tokens * 3 // 4), self._context_tokens // 4)

    def _kept(self, dropped: int) -> tuple[ChatMessage, ...]:
        return (*self._system, *(message for turn in self._turns[dropped:] for message in turn))


def _split(messages: Sequence[ChatMessage]) -> tuple[tuple[ChatMessage, ...], list[list[ChatMessage]]]:
    """The system text, and the turns: each begins with a user's message, but perhaps the first."""
    system = tuple(messages[:1]) if messages[0].role == "system" else ()
    turns: list[list[ChatMessage]] = []
    for message in messages[len(system) :]:
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return system, turns


def _surely(messages: Sequence[ChatMessage], prefill: str) -> int:
    """No tokenizer makes more: a token stands for a byte at least."""
    text_bytes = sum(len(message.text.encode()) for message in messages) + len(prefill.encode())
    return text_bytes + _TEMPLATE_TOKENS_EACH * len(messages) + _TEMPLATE_TOKENS
