"""The model calls of Whisper on CTranslate2, in plain values: encode, detect the language, generate, align.

Encoder outputs are kept as rows of float32 in main memory, one per window, so that any windows can be put together for
the next call; the copy is small (1.5 MB for 15 s of context) next to the call itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import ctranslate2
import numpy as np
from numpy.typing import NDArray

from asr_workers.engines.whisper_tokens import MAX_LENGTH
from asr_workers.windows.features import Features

Encoded: TypeAlias = NDArray[np.float32]
"""Encoder output of one window: [context frames / 2, width]."""

MAX_NEW_TOKENS = MAX_LENGTH // 2
_DEFAULT_SYMBOLS = [-1]


@dataclass(frozen=True, slots=True)
class Generated:
    """One hypothesis."""

    tokens: list[int]
    average_log_probability: float
    """Over the tokens and the end marker."""
    no_speech_probability: float
    cut: bool
    """Generating stopped at the limit, not at the end of the text."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where the tokens of one text lie: (token, encoder frame) pairs, and the probability of each token."""

    pairs: list[tuple[int, int]]
    probabilities: list[float]


class WhisperCalls:
    """Thread-safe: as many calls run at once as the model was opened with workers."""

    def __init__(self, model: ctranslate2.models.Whisper) -> None:
        self._model = model
        self.on_cpu: bool = model.device == "cpu"
        self.multilingual: bool = model.is_multilingual

    def encode(self, padded: Sequence[Features]) -> list[Encoded]:
        """Encode windows of equal context. On a CPU one by one: a batch is slower there, it thrashes the cache."""
        if self.on_cpu:
            return [self._encode(features[np.newaxis])[0] for features in padded]
        return list(self._encode(np.stack(padded)))

    def detect_languages(self, encoded: Sequence[Encoded]) -> list[tuple[str, float]]:
        """Most probable language of each window, and its probability."""
        rankings = self._model.detect_language(_storage(np.stack(encoded)))
        return [(ranking[0][0].strip("<|>"), float(ranking[0][1])) for ranking in rankings]

    def generate(
        self,
        encoded: Sequence[Encoded],
        prompts: Sequence[list[int]],
        *,
        max_new_tokens: int,
        beam_size: int,
        suppress: Sequence[int] = (),
    ) -> list[Generated]:
        """Most probable texts without the suppressed tokens, greedy with a beam of 1; prompts of equal length."""
        results = self._model.generate(
            _storage(np.stack(encoded)),
            list(prompts),
            beam_size=beam_size,
            max_length=_max_length(max_new_tokens, len(prompts[0])),
            suppress_tokens=[*_DEFAULT_SYMBOLS, *suppress],
            return_scores=True,
            return_no_speech_prob=True,
        )
        return [_best(result, _token_limit(max_new_tokens, len(prompts[0]))) for result in results]

    def sample(self, encoded: Encoded, prompt: list[int], *, temperature: float, hypotheses: int) -> Generated:
        """Best of some texts drawn at a temperature: not the same each time."""
        results = self._model.generate(
            _storage(encoded[np.newaxis]),
            [prompt],
            beam_size=1,
            num_hypotheses=hypotheses,
            sampling_topk=0,
            sampling_temperature=temperature,
            max_length=_max_length(MAX_NEW_TOKENS, len(prompt)),
            suppress_tokens=_DEFAULT_SYMBOLS,
            return_scores=True,
            return_no_speech_prob=True,
        )
        return _best(results[0], _token_limit(MAX_NEW_TOKENS, len(prompt)))

    def align(self, encoded: Encoded, start: list[int], tokens: list[int], *, frames: int) -> Alignment:
        """Place known tokens in the audio; `frames` counts feature frames that hold audio."""
        result = self._model.align(_storage(encoded[np.newaxis]), start, [tokens], frames)[0]
        return Alignment(list(result.alignments), list(result.text_token_probs))

    def unload(self) -> None:
        """Free the weights."""
        self._model.unload_model()

    def _encode(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        output = self._model.encode(_storage(features), to_cpu=True)
        return np.asarray(output.to(ctranslate2.DataType.float32))


def _storage(array: NDArray[np.float32]) -> ctranslate2.StorageView:
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(array))


def _max_length(new_tokens: int, prompt_tokens: int) -> int:
    """CTranslate2 allows min(half of max_length, max_length less the prompt) new tokens; this inverts that."""
    return min(MAX_LENGTH, max(2 * new_tokens, new_tokens + prompt_tokens))


def _token_limit(new_tokens: int, prompt_tokens: int) -> int:
    return min(new_tokens, MAX_LENGTH - prompt_tokens)


def _best(result: Any, limit: int) -> Generated:
    tokens = list(result.sequences_ids[0])
    return Generated(
        tokens=tokens,
        average_log_probability=result.scores[0] * len(tokens) / (len(tokens) + 1),
        no_speech_probability=result.no_speech_prob,
        cut=len(tokens) >= limit,
    )
