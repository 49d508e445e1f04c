"""The model calls of Whisper on CTranslate2, in plain values: encode, detect the language, generate, align.

On a CPU what gains from a batch is generating; encoding and aligning are done window by window, for a batch is slower
there (it thrashes the cache; aligning four takes 1.1 times as long). On a GPU each call takes the whole batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ctranslate2
import numpy as np

from asr_workers.engines.encoder_output import Encoded, joined, rows_of, storage
from asr_workers.engines.whisper_tokens import MAX_LENGTH
from asr_workers.windows.features import Features

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

    def __init__(self, model: ctranslate2.models.Whisper, *, batched: bool | None = None) -> None:
        """`batched`: encode and align whole batches; None is as the device likes it."""
        self._model = model
        self.on_cpu: bool = model.device == "cpu"
        self.batched: bool = not self.on_cpu if batched is None else batched
        self.multilingual: bool = model.is_multilingual

    def encode(self, padded: Sequence[Features]) -> list[Encoded]:
        """Encode windows of equal context."""
        calls = [np.stack(padded)] if self.batched else [features[np.newaxis] for features in padded]
        outputs = [self._model.encode(storage(features, on_cpu=self.on_cpu)) for features in calls]
        return [row for output in outputs for row in rows_of(output)]

    def detect_languages(self, encoded: Sequence[Encoded]) -> list[tuple[str, float]]:
        """Most probable language of each window, and its probability."""
        rankings = self._model.detect_language(joined(encoded))
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
            joined(encoded),
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
            joined([encoded]),
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

    def align(
        self, encoded: Sequence[Encoded], start: list[int], texts: Sequence[list[int]], *, frames: Sequence[int]
    ) -> list[Alignment]:
        """Place known tokens in the audio, one text per window; `frames` counts feature frames that hold audio."""
        if self.batched and not _blurs(texts, frames):
            results = self._model.align(joined(encoded), start, list(texts), list(frames))
        else:
            results = [
                self._model.align(joined([one]), start, [text], count)[0]
                for one, text, count in zip(encoded, texts, frames, strict=True)
            ]
        return [Alignment(list(result.alignments), list(result.text_token_probs)) for result in results]

    def unload(self) -> None:
        """Free the weights."""
        self._model.unload_model()


def _blurs(texts: Sequence[list[int]], frames: Sequence[int]) -> bool:
    """Tell whether CTranslate2 would align a batch worse than its windows: it takes the padding of the shorter texts
    for tokens if all windows are equally long (in encoder frames, of two feature frames), and is off by some frames.
    """
    return len({count // 2 for count in frames}) == 1 and len({len(text) for text in texts}) > 1


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
