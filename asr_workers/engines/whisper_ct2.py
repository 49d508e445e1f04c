"""Whisper on CTranslate2, through faster-whisper's model, tokenizer and feature extractor.

Without timestamps, on short encoder contexts, partials greedy and finals with a beam. What the guards refuse gets a
second pass with the full context.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Self

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel

from asr_workers.batch.plan import Group
from asr_workers.engines.base import (
    Decoded,
    EngineCapabilities,
    EngineOptions,
    EngineUnavailable,
    Outcome,
    Prepared,
    Window,
)
from asr_workers.engines.whisper_calls import MAX_NEW_TOKENS, Encoded, Generated, WhisperCalls
from asr_workers.engines.whisper_tokens import WhisperTokens, is_spaced
from asr_workers.windows.buckets import FINAL_CONTEXTS_S, FULL_CONTEXT_S, PARTIAL_CONTEXTS_S, encoder_context_s
from asr_workers.windows.features import FRAMES_PER_SECOND, log_mel, pad_to_context
from asr_workers.windows.guards import (
    Attempt,
    Guards,
    Stage,
    Verdict,
    compression_ratio,
    has_words,
    is_satisfying,
    judge,
    settle,
    token_ceiling,
)
from asr_workers.windows.words import place_words, session_words
from bus.contract.work import SAMPLE_RATE_HZ, Word

FALLBACK_TEMPERATURES = (0.4, 0.8)
_HYPOTHESES = 3
_CPU_BATCH = 4
_GPU_BATCH = 16


@dataclass(frozen=True, slots=True)
class _Take:
    """One decode of one window."""

    tokens: list[int]
    text: str
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the batch's model calls gave for one window; times include those of an earlier refused pass."""

    encoded: Encoded
    language: str
    language_probability: float
    take: _Take
    encode_s: float
    decode_s: float


class WhisperCt2Engine:
    """CPU or CUDA; the weights are shared by all executors."""

    def __init__(self, model: WhisperModel, options: EngineOptions, *, executors: int) -> None:
        self._calls = WhisperCalls(model.model)
        self._extract = model.feature_extractor
        self._tokens = WhisperTokens(model.hf_tokenizer, multilingual=self._calls.multilingual)
        self._guards = Guards()
        self._beam_size = options.beam_size
        max_batch = options.max_batch or (_CPU_BATCH if self._calls.on_cpu else _GPU_BATCH)
        self._capabilities = EngineCapabilities(
            model=options.model_name,
            executors=executors,
            max_batch=max_batch,
            slots=executors if self._calls.on_cpu else executors * max_batch,
            languages=frozenset(model.supported_languages),
        )

    @classmethod
    def open(cls, options: EngineOptions) -> Self:
        """Load a converted model from `options.model_path`."""
        path = options.model_path
        if path is None or not (path / "model.bin").is_file():
            raise EngineUnavailable("no weights: the model folder holds no model.bin")
        device = options.device
        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        compute_type = options.compute_type
        if compute_type == "auto":
            compute_type = "int8" if device == "cpu" else "float16"
        executors = options.executors or (_usable_cores() if device == "cpu" else 1)
        try:
            # One thread per decode: a second one gains little on the encoder and makes generating slower.
            model = WhisperModel(
                str(path), device=device, compute_type=compute_type, cpu_threads=1, num_workers=executors
            )
        except (RuntimeError, ValueError) as error:
            raise EngineUnavailable(f"the model cannot be loaded on {device} as {compute_type}: {error}") from error
        return cls(model, options, executors=executors)

    @property
    def capabilities(self) -> EngineCapabilities:
        """Languages are those of the weights: only English for English-only models."""
        return self._capabilities

    def prepare(self, window: Window) -> Prepared:
        """Features and prompt tokens; ValueError for a language that the model does not know or a window too long."""
        if window.language is not None and window.language not in self._capabilities.languages:
            raise ValueError("the model does not know this language")
        started = time.perf_counter()
        context_s = encoder_context_s(window.kind, window.duration_s)
        prefix = self._tokens.prefix(window.prompt, window.hotwords)
        features = log_mel(window.pcm, self._extract)
        return Prepared(
            window=window,
            group=Group(context_s, len(prefix)),
            features=features,
            prefix=prefix,
            features_s=time.perf_counter() - started,
        )

    def decode(self, batch: Sequence[Prepared]) -> list[Outcome]:
        """One pass over the batch, all of one kind; sampling, where the guards ask for it, window by window."""
        return [self._conclude(item, heard) for item, heard in zip(batch, self._hear(batch), strict=True)]

    def warm_up(self) -> None:
        """Decode faint noise: on a GPU in each context, on a CPU once per executor (later contexts start no slower)."""
        noise = np.random.default_rng(0).integers(-40, 40, SAMPLE_RATE_HZ, dtype=np.int16).tobytes()
        prepared = self.prepare(Window(kind="partial", pcm=noise, start_sample=0))
        executors = self._capabilities.executors
        contexts = sorted({*FINAL_CONTEXTS_S, *PARTIAL_CONTEXTS_S})
        if self._calls.on_cpu:
            contexts = contexts[:1] * executors
        with ThreadPoolExecutor(executors, "warm-up") as pool:
            list(pool.map(self.decode, [[replace(prepared, group=Group(context_s, 0))] for context_s in contexts]))

    def close(self) -> None:
        """Unload the weights."""
        self._calls.unload()

    def _hear(self, batch: Sequence[Prepared]) -> list[_Heard]:
        """Encode, find the languages that are not named, generate."""
        started = time.perf_counter()
        encoded = self._calls.encode([pad_to_context(item.features, item.group.context_s) for item in batch])
        encode_s = time.perf_counter() - started
        languages = self._languages(batch, encoded)
        generated = self._calls.generate(
            encoded,
            [self._prompt(item, language) for item, (language, _) in zip(batch, languages, strict=True)],
            max_new_tokens=max(self._ceiling(item) for item in batch),
            beam_size=self._beam_size if batch[0].window.kind == "final" else 1,
        )
        decode_s = time.perf_counter() - started - encode_s
        return [
            _Heard(
                encoded=row,
                language=language,
                language_probability=probability,
                take=self._take(item, _stage(item), one),
                encode_s=item.encode_s + encode_s,
                decode_s=item.decode_s + decode_s,
            )
            for item, row, (language, probability), one in zip(batch, encoded, languages, generated, strict=True)
        ]

    def _languages(self, batch: Sequence[Prepared], encoded: Sequence[Encoded]) -> list[tuple[str, float]]:
        """Language of each window and its probability: 1 where it was named."""
        if not self._calls.multilingual:
            return [("en", 1.0)] * len(batch)
        unnamed = [row for item, row in zip(batch, encoded, strict=True) if item.window.language is None]
        guesses = iter(self._calls.detect_languages(unnamed) if unnamed else ())
        return [next(guesses) if item.window.language is None else (item.window.language, 1.0) for item in batch]

    def _conclude(self, item: Prepared, heard: _Heard) -> Outcome:
        """Let the guards decide what becomes of a decode."""
        take = heard.take
        verdict = judge(take.attempt, item.window.kind, self._guards)
        if verdict == "full_context":
            return replace(
                item,
                group=Group(FULL_CONTEXT_S, item.group.prefix_tokens),
                failed=take.attempt,
                encode_s=heard.encode_s,
                decode_s=heard.decode_s,
            )
        started = time.perf_counter()
        sampled = verdict == "temperature"
        if sampled:
            take, verdict = self._sample(item, heard)
        text = take.text if verdict == "accept" else ""
        words = self._words(item, heard, take.tokens) if text and item.window.word_times else ()
        return Decoded(
            text=text,
            words=words,
            language=heard.language if text else item.window.language,
            language_probability=heard.language_probability if text else 0.0,
            no_speech_probability=take.attempt.no_speech_probability,
            average_log_probability=take.attempt.average_log_probability,
            fallback="temperature" if sampled else "full_context" if item.failed else "",
            suppressed=verdict if verdict in ("no_speech", "repetition") else "",
            features_s=item.features_s,
            encode_s=heard.encode_s,
            decode_s=heard.decode_s + time.perf_counter() - started,
        )

    def _sample(self, item: Prepared, heard: _Heard) -> tuple[_Take, Verdict]:
        """Draw texts at rising temperatures until one satisfies the guards; then choose among all takes."""
        prompt = self._prompt(item, heard.language)
        takes = [heard.take]
        for temperature in FALLBACK_TEMPERATURES:
            drawn = self._calls.sample(heard.encoded, prompt, temperature=temperature, hypotheses=_HYPOTHESES)
            takes.append(self._take(item, "temperature", drawn))
            if is_satisfying(takes[-1].attempt, self._guards):
                break
        best, verdict = settle([take.attempt for take in takes], self._guards)
        return takes[best], verdict

    def _words(self, item: Prepared, heard: _Heard, tokens: list[int]) -> tuple[Word, ...]:
        window = item.window
        alignment = self._calls.align(
            heard.encoded,
            self._tokens.start(window.task, heard.language),
            tokens,
            frames=max(1, int(window.duration_s * FRAMES_PER_SECOND)),
        )
        spellings = self._tokens.spellings(tokens, window.task, heard.language)
        return session_words(
            place_words(spellings, alignment.pairs, alignment.probabilities),
            start_sample=window.start_sample,
            samples=window.samples,
            spaced=is_spaced(window.task, heard.language),
        )

    def _prompt(self, item: Prepared, language: str) -> list[int]:
        return self._tokens.prompt(item.prefix, item.window.task, language)

    def _ceiling(self, item: Prepared) -> int:
        """Tokens after which generating stops. Scripts that need very many get them in the second pass."""
        if _stage(item) == "full_context":
            return MAX_NEW_TOKENS
        return min(MAX_NEW_TOKENS, token_ceiling(item.window.duration_s, self._guards))

    def _take(self, item: Prepared, stage: Stage, generated: Generated) -> _Take:
        text = self._tokens.text(generated.tokens)
        attempt = Attempt(
            stage=stage,
            tokens=len(generated.tokens),
            has_words=has_words(text),
            duration_s=item.window.duration_s,
            compression_ratio=compression_ratio(text),
            average_log_probability=generated.average_log_probability,
            no_speech_probability=generated.no_speech_probability,
        )
        return _Take(generated.tokens, text, attempt)


def _stage(item: Prepared) -> Stage:
    return "full_context" if item.group.context_s == FULL_CONTEXT_S else "short_context"


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0))
