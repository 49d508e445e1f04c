"""Whisper's prompts and words, over faster-whisper's tokenizer."""

import threading
from collections.abc import Sequence

import tokenizers
from faster_whisper.tokenizer import Tokenizer

from asr_workers.engines.whisper_prefill import START
from asr_workers.windows.words import Spelling
from bus.contract.work import Task

MAX_LENGTH = 448
"""Positions of the decoder: prefix, prompt and text together."""
MAX_PREFIX_TOKENS = MAX_LENGTH // 2 - 1
MAX_HOTWORD_TOKENS = MAX_PREFIX_TOKENS // 2

_MARKS = frozenset({",", ".", ";", ":", "!", "?", "...", "-", "--", ""})
_UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})


def is_spaced(task: Task, language: str) -> bool:
    """Tell whether the text has blanks between words."""
    return _written(task, language) not in _UNSPACED_LANGUAGES


class WhisperTokens:
    """One model's vocabulary. Thread-safe."""

    def __init__(self, vocabulary: tokenizers.Tokenizer, *, multilingual: bool, start: int | None = None) -> None:
        """`start`: number of the start of the transcript, if the model has another than its vocabulary."""
        self._start = start
        self._vocabulary = vocabulary
        self._multilingual = multilingual
        self._tokenizers: dict[tuple[Task, str], Tokenizer] = {}
        self._lock = threading.Lock()

    @property
    def end(self) -> int:
        """The token after the last one of a text."""
        return int(self._tokenizer("transcribe", "en").eot)

    def prefix(self, prompt: str, hotwords: str) -> tuple[int, ...]:
        """Tokens before the transcript: hotwords, then as much of the prompt's end as fits; empty without both."""
        tokens = self.tokens(hotwords)[:MAX_HOTWORD_TOKENS]
        tokens += self.tokens(prompt)[-(MAX_PREFIX_TOKENS - 1 - len(tokens)) :]
        return (self._tokenizer("transcribe", "en").sot_prev, *tokens) if tokens else ()

    def start(self, task: Task, language: str) -> list[int]:
        """Start of transcript, language, task: what `align` wants."""
        return list(self._tokenizer(task, language).sot_sequence)

    def prompt(self, prefix: Sequence[int], task: Task, language: str, known: Sequence[int] = ()) -> list[int]:
        """All that `generate` wants: without timestamps, for they fail on short encoder contexts.

        `known` tokens begin the transcript; see `whisper_prefill`.
        """
        tokenizer = self._tokenizer(task, language)
        start, *rest = tokenizer.sot_sequence
        prompt = [*prefix, start if self._start is None else self._start, *rest, tokenizer.no_timestamps]
        return [*prompt, *known, tokenizer.no_timestamps] if known else prompt

    def text(self, tokens: Sequence[int]) -> str:
        """Text of the tokens, without surrounding blanks."""
        return str(self._tokenizer("transcribe", "en").decode(list(tokens))).strip()

    def whole_characters(self, tokens: Sequence[int]) -> list[int]:
        """Tokens of a text that was cut, without those that begin a character and do not end it."""
        kept = list(tokens)
        while kept and self.text(kept).endswith("\N{REPLACEMENT CHARACTER}"):
            kept.pop()
        return kept

    def without_leading_marks(self, tokens: Sequence[int]) -> list[int]:
        """Tokens of a text that goes on, without what ends the sentence before it."""
        first = next((index for index, token in enumerate(tokens) if self.text([token]) not in _MARKS), len(tokens))
        return list(tokens[first:])

    def is_mark(self, token: int) -> bool:
        """Tell whether the token is punctuation alone."""
        return not any(
            character.isalnum() or character == "\N{REPLACEMENT CHARACTER}" for character in self.text([token])
        )

    def spellings(self, tokens: Sequence[int], task: Task, language: str) -> list[Spelling]:
        """Tokens as words: at blanks, or by character where the script has none."""
        words, groups = self._tokenizer(task, _written(task, language)).split_to_word_tokens(list(tokens))
        return [Spelling(word, len(group)) for word, group in zip(words, groups, strict=True)]

    def tokens(self, text: str, *, spaced: bool = True) -> list[int]:
        """A text as words only: "<|startoftranscript|>" in it would move the start that a batch has in common.

        A double quote or an exclamation mark alone is left out: `whisper_prefill` needs their numbers.
        """
        tokenizer = self._tokenizer("transcribe", "en")
        tokens = tokenizer.encode((" " if spaced else "") + text.strip()) if text.strip() else []
        return [token for token in tokens if START < token < tokenizer.eot]

    def _tokenizer(self, task: Task, language: str) -> Tokenizer:
        key = (task, language)
        with self._lock:
            tokenizer = self._tokenizers.get(key)
            if tokenizer is None:
                tokenizer = Tokenizer(self._vocabulary, self._multilingual, task=task, language=language)
                self._tokenizers[key] = tokenizer
            return tokenizer


def _written(task: Task, language: str) -> str:
    """Language of the text: a translation is English, whatever was spoken."""
    return "en" if task == "translate" else language
