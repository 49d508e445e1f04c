"""Whisper on CTranslate2, through faster-whisper's model, tokenizer and feature extractor.

Without timestamps, on short encoder contexts, partials greedy and finals with a beam. What the guards refuse gets a
second pass with the full context, and what is too long for one pass is decoded piece by piece.
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

from asr_workers.batch.costs import CallTime
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
from asr_workers.engines.whisper_calls import WhisperCalls
from asr_workers.engines.whisper_hearing import Heard, Hearing, Take
from asr_workers.engines.whisper_prefill import START, prefill_files
from asr_workers.engines.whisper_rest import join, rest_of
from asr_workers.engines.whisper_timing import time_calls
from asr_workers.engines.whisper_tokens import MAX_PREFIX_TOKENS, WhisperTokens, is_spaced
from asr_workers.engines.whisper_vocabulary import with_all_merges
from asr_workers.windows.buckets import FINAL_CONTEXTS_S, FULL_CONTEXT_S, PARTIAL_CONTEXTS_S, encoder_context_s
from asr_workers.windows.features import log_mel
from asr_workers.windows.guards import Guards, Verdict, is_satisfying, judge, settle
from asr_workers.windows.words import PlacedWord, session_words, words_before_cut
from bus.contract.work import SAMPLE_RATE_HZ, Word

FALLBACK_TEMPERATURES = (0.4, 0.8)
_CPU_BATCH = 1
"""Windows are encoded one after another there: the first would wait for the last, and generating together saves less
than that. With 8 sessions on two cores finals took 2.3 s at p95 one by one, 3.7 s in pairs, 4.1 s in fours."""
_CALL_THREADS = 2
"""On two cores a second thread makes a lone decode 1.5 times as fast; two at a time get through as many windows as with
one thread each, less 5 to 10% (docs/performance.md)."""
_GPU_BATCH = 16


@dataclass(frozen=True, slots=True)
class _Passage:
    """What an accepted decode says, and what follows it."""

    text: str = ""
    words: tuple[Word, ...] = ()
    rest: Window | None = None


class WhisperCt2Engine:
    """CPU or CUDA; the weights are shared by all executors."""

    def __init__(self, model: WhisperModel, options: EngineOptions, *, executors: int, prefills: bool) -> None:
        """`prefills`: the model is one of `prefill_files`."""
        self._prefills = prefills
        self._calls = WhisperCalls(model.model)
        self._extract = model.feature_extractor
        self._tokens = WhisperTokens(
            with_all_merges(model.hf_tokenizer),
            multilingual=self._calls.multilingual,
            start=START if prefills else None,
        )
        self._guards = Guards()
        self._beam_size = options.beam_size
        self._hearing = Hearing(self._calls, self._tokens, self._guards, beam_size=options.beam_size, prefills=prefills)
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
        files = prefill_files(path)
        try:
            model = WhisperModel(
                str(path),
                device=device,
                compute_type=compute_type,
                cpu_threads=options.call_threads or min(_CALL_THREADS, _usable_cores()),
                num_workers=executors,
                files=files,
            )
        except (RuntimeError, ValueError) as error:
            raise EngineUnavailable(f"the model cannot be loaded on {device} as {compute_type}: {error}") from error
        return cls(model, options, executors=executors, prefills=files is not None)

    @property
    def capabilities(self) -> EngineCapabilities:
        """Languages are those of the weights: only English for English-only models."""
        return self._capabilities

    def prepare(self, window: Window) -> Prepared:
        """Features and prompt tokens; ValueError for a language that the model does not know or a window too long."""
        if window.language is not None and window.language not in self._capabilities.languages:
            raise ValueError("the model does not know this language")
        started = time.perf_counter()
        context_s = encoder_context_s(window.kind, window.duration_s, hurried=window.hurried)
        prefix = self._tokens.prefix(window.prompt, window.hotwords)
        spaced = is_spaced(window.task, window.language or "")
        prior = tuple(self._tokens.tokens(window.prior_text, spaced=spaced))
        if window.prior_samples and not (self._prefills and 0 < len(prior) <= MAX_PREFIX_TOKENS - len(prefix)):
            return self.prepare(replace(window.alone(), draft=window.draft))
        features = log_mel(window.pcm, self._extract)
        return Prepared(
            window=window,
            group=Group(context_s, len(prefix)),
            features=features,
            prefix=prefix,
            prior=prior,
            features_s=time.perf_counter() - started,
        )

    def decode(self, batch: Sequence[Prepared]) -> list[Outcome]:
        """One pass over the batch, all of one kind; sampling and rests, where they are needed, window by window."""
        return [self._conclude(item, heard) for item, heard in zip(batch, self._hearing.hear(batch), strict=True)]

    def warm_up(self) -> Sequence[CallTime]:
        """Decode faint noise: on a GPU in each context, on a CPU once per executor (later contexts start no slower).

        Then time the most usual calls; takes some two seconds.
        """
        noise = np.random.default_rng(0).integers(-40, 40, SAMPLE_RATE_HZ, dtype=np.int16).tobytes()
        prepared = self.prepare(Window(kind="partial", pcm=noise, start_sample=0))
        executors = self._capabilities.executors
        contexts = sorted({*FINAL_CONTEXTS_S, *PARTIAL_CONTEXTS_S})
        if self._calls.on_cpu:
            contexts = contexts[:1] * executors
        with ThreadPoolExecutor(executors, "warm-up") as pool:
            list(pool.map(self.decode, [[replace(prepared, group=Group(context_s, 0))] for context_s in contexts]))
        return time_calls(
            self._calls,
            self._tokens,
            prepared.features,
            executors=executors,
            max_batch=self._capabilities.max_batch,
            beam_size=self._beam_size,
        )

    def close(self) -> None:
        """Unload the weights."""
        self._calls.unload()

    def _conclude(self, item: Prepared, heard: Heard) -> Outcome:
        """Let the guards decide what becomes of a decode."""
        verdict = judge(heard.take.attempt, item.window.kind, self._guards)
        if verdict == "alone":
            return replace(self.prepare(item.window.alone()), encode_s=heard.encode_s, decode_s=heard.decode_s)
        if verdict == "full_context":
            return replace(
                item,
                window=replace(item.window, draft=""),
                group=Group(FULL_CONTEXT_S, item.group.prefix_tokens),
                failed=heard.take.attempt,
                encode_s=heard.encode_s,
                decode_s=heard.decode_s,
            )
        return self._finish(item, heard, verdict)

    def _finish(self, item: Prepared, heard: Heard, verdict: Verdict) -> Decoded:
        """Settle the text: draw others if the guards ask for it, and decode what the decoder's limit cut off."""
        started = time.perf_counter()
        take = heard.take
        sampled = verdict == "temperature"
        if sampled:
            take, verdict = self._sample(item, heard)
        accepted = verdict == "accept" and take.text != ""
        passage = self._passage(item, heard, take) if accepted else _Passage()
        decoded = Decoded(
            text=passage.text,
            words=passage.words,
            language=heard.language if accepted else item.window.language,
            language_probability=heard.language_probability if accepted else 0.0,
            no_speech_probability=take.attempt.no_speech_probability,
            average_log_probability=take.attempt.average_log_probability,
            fallback="temperature" if sampled else "full_context" if item.failed else "",
            suppressed=verdict if verdict in ("no_speech", "repetition") else "",
            features_s=item.features_s,
            encode_s=heard.encode_s,
            decode_s=heard.decode_s + time.perf_counter() - started,
        )
        if passage.rest is None:
            return decoded
        return join(decoded, self._decode_rest(passage.rest), spaced=is_spaced(item.window.task, heard.language))

    def _sample(self, item: Prepared, heard: Heard) -> tuple[Take, Verdict]:
        """Draw texts at rising temperatures until one satisfies the guards; then choose among all takes."""
        takes = [heard.take]
        for temperature in FALLBACK_TEMPERATURES:
            takes.append(self._hearing.draw(item, heard, temperature=temperature))
            if is_satisfying(takes[-1].attempt, self._guards):
                break
        best, verdict = settle([take.attempt for take in takes], self._guards)
        return takes[best], verdict

    def _passage(self, item: Prepared, heard: Heard, take: Take) -> _Passage:
        """Text and words of an accepted decode; of one that was cut, the part that is sure."""
        window, cut = item.window, take.attempt.cut
        if not (window.word_times or cut):
            return _Passage(take.text)
        spaced = is_spaced(window.task, heard.language)
        placed: Sequence[PlacedWord] = self._hearing.place(item, heard, take.tokens)
        text, rest = take.text, None
        kept = words_before_cut(placed, spaced=spaced) if cut else ()
        if window.kind == "final":
            rest = rest_of(window, kept, language=heard.language)
        if kept and (rest is not None or window.kind == "partial"):
            placed = kept
            text = self._tokens.text(take.tokens[: sum(word.tokens for word in kept)])
        words = session_words(
            placed,
            start_sample=window.start_sample,
            samples=window.samples - (rest.samples if rest else 0),
            prior_samples=window.prior_samples,
            spaced=spaced,
        )
        return _Passage(text, words if window.word_times else (), rest)

    def _decode_rest(self, window: Window) -> Decoded:
        """Decode what follows a text that was cut. Each rest is shorter than the window before, so this ends."""
        item = self.prepare(window)
        item = replace(item, group=Group(FULL_CONTEXT_S, item.group.prefix_tokens))
        (heard,) = self._hearing.hear([item])
        return self._finish(item, heard, judge(heard.take.attempt, window.kind, self._guards))


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0))
