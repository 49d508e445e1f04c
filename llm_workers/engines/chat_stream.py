"""From the data of a server's events to pieces of an answer and its end. No I/O."""

import re
from typing import Any

import msgspec

from bus.contract.chat_work import FinishReason
from llm_workers.engines.base import Finished, GenerationFailed, Piece

END_OF_STREAM = b"[DONE]"
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


class ChatStream:
    """One streamed answer. Feed it in order, then ask for the end.

    `repeats_prefill`: this server gives the prefill again at the head of the answer; it is taken off.
    """

    def __init__(self, *, prefill: str, repeats_prefill: bool, estimated_prompt_tokens: int) -> None:
        self._estimated_prompt_tokens = estimated_prompt_tokens
        self._head = prefill if repeats_prefill else ""
        self._held = ""
        self._pieces = 0
        self._reason: FinishReason | None = None
        self._usage: _Usage | None = None

    def on_data(self, data: bytes) -> Piece | None:
        """Take one event's data; the piece in it, if there is one. Raises GenerationFailed."""
        if data == END_OF_STREAM:
            return None
        try:
            chunk = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise GenerationFailed("the server sent what is no chat completion chunk", retryable=True) from None
        if chunk.error is not None:
            raise GenerationFailed(f"the server broke off: {error_type(chunk.error)}", retryable=True)
        self._usage = chunk.usage or self._usage
        text = ""
        for choice in chunk.choices[:1]:
            text = (choice.delta.content if choice.delta is not None else None) or ""
            if choice.finish_reason is not None:
                self._reason = "length" if choice.finish_reason == "length" else "stop"
        text = self._without_head(text)
        if not text:
            return None
        self._pieces += 1
        return Piece(text)

    def end(self) -> Finished:
        """The end, once the stream is over. Raises GenerationFailed if it was cut."""
        if self._reason is None:
            raise GenerationFailed("the server closed the stream before the end of the answer", retryable=True)
        usage = self._usage or _Usage(self._estimated_prompt_tokens, self._pieces)
        details = usage.prompt_tokens_details or _PromptDetails()
        return Finished(
            reason=self._reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=details.cached_tokens or 0,
        )

    def _without_head(self, text: str) -> str:
        if not self._head:
            return text
        shared = min(len(self._head), len(text))
        if self._head[:shared] != text[:shared]:
            # It does not repeat it this time: what was held back is the model's own.
            text, self._head = self._held + text, ""
            return text
        self._held += text[:shared]
        self._head = self._head[shared:]
        return text[shared:]


def error_type(error: Any) -> str:
    """What kind of error a server reports. Its message is left out: it may quote the user."""
    for name in ("type", "code"):
        value = error.get(name) if isinstance(error, dict) else None
        if isinstance(value, str) and _PLAIN_WORD.match(value):
            return value
    return "an error"
