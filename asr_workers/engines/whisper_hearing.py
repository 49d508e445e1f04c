"""Whisper's texts and word times for prepared windows: tokens, model calls and the guards' figures put together."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from asr_workers.engines.base import Prepared, Window
from asr_workers.engines.encoder_output import Encoded
from asr_workers.engines.whisper_calls import MAX_NEW_TOKENS, Generated, WhisperCalls
from asr_workers.engines.whisper_tokens import WhisperTokens, is_spaced
from asr_workers.windows.buckets import FULL_CONTEXT_S
from asr_workers.windows.drafts import keeps_draft, with_draft
from asr_workers.windows.features import FRAMES_PER_SECOND, pad_to_context
from asr_workers.windows.guards import (
    Attempt,
    Guards,
    Stage,
    compression_ratio,
    echoes,
    has_words,
    judge,
    token_ceiling,
)
from asr_workers.windows.words import PlacedWord, Spelling, place_words
from bus.contract.work import Task

_HYPOTHESES = 3


@dataclass(frozen=True, slots=True)
class Take:
    """One decode of one window."""

    tokens: list[int]
    text: str
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Heard:
    """What the batch's model calls gave for one window; times include those of an earlier refused pass."""

    encoded: Encoded
    language: str
    language_probability: float
    take: Take
    encode_s: float
    decode_s: float
    placed: list[PlacedWord] | None = None
    """Words of the take, if they were placed together with the batch."""


class Hearing:
    """Thread-safe, like the calls and the tokens that it is made of."""

    def __init__(self, calls: WhisperCalls, tokens: WhisperTokens, guards: Guards, *, beam_size: int) -> None:
        self._calls = calls
        self._tokens = tokens
        self._guards = guards
        self._beam_size = beam_size

    def hear(self, batch: Sequence[Prepared]) -> list[Heard]:
        """Encode, find the languages that are not named, generate; on a GPU place the words of accepted texts too."""
        started = time.perf_counter()
        encoded = self._calls.encode([pad_to_context(item.features, item.group.context_s) for item in batch])
        encode_s = time.perf_counter() - started
        languages = self._languages(batch, encoded)
        generated = self._calls.generate(
            encoded,
            [self._prompt(item, language) for item, (language, _) in zip(batch, languages, strict=True)],
            priors=[item.prior for item in batch],
            max_new_tokens=max(self._ceiling(item) for item in batch),
            beam_size=self._beam_size if batch[0].window.kind == "final" else 1,
        )
        decode_s = time.perf_counter() - started - encode_s
        heard = [
            Heard(
                encoded=row,
                language=language,
                language_probability=probability,
                take=self._take(item, _stage(item), one),
                encode_s=item.encode_s + encode_s,
                decode_s=item.decode_s + decode_s,
            )
            for item, row, (language, probability), one in zip(batch, encoded, languages, generated, strict=True)
        ]
        return self._place_together(batch, heard) if self._calls.batched else heard

    def draw(self, item: Prepared, heard: Heard, *, temperature: float) -> Take:
        """Another text for a window, drawn at a temperature."""
        prompt = self._prompt(item, heard.language)
        drawn = self._calls.sample(heard.encoded, prompt, temperature=temperature, hypotheses=_HYPOTHESES)
        return self._take(item, "temperature", drawn)

    def place(self, item: Prepared, heard: Heard, tokens: list[int]) -> list[PlacedWord]:
        """The words of a text and where in the window they are."""
        if heard.placed is not None and tokens is heard.take.tokens:
            return heard.placed
        (placed,) = self._place([(item, heard, tokens)])
        return placed

    def reconcile(self, item: Prepared, heard: Heard) -> Take:
        """The take, with the words of the window's draft where it has others and is not clearly surer of them."""
        window, take = item.window, heard.take
        spaced = is_spaced(window.task, heard.language)
        draft, final = (text.split() if spaced else list(text) for text in (window.draft, take.text))
        words = with_draft(draft, final)
        if words == final or not final or take.attempt.cut:
            return take
        text = (" " if spaced else "").join(words)
        tokens = self._tokens.tokens(text, spaced=spaced)
        shown, found = self._calls.align(
            [heard.encoded] * 2,
            self._tokens.start(window.task, heard.language),
            [[*item.prior, *tokens], [*item.prior, *take.tokens]],
            frames=[_audio_frames(window)] * 2,
        )
        return Take(tokens, text, take.attempt) if keeps_draft(shown.probabilities, found.probabilities) else take

    def _place_together(self, batch: Sequence[Prepared], heard: Sequence[Heard]) -> list[Heard]:
        """Place the words of all takes that want it, one call per language: its texts share their start."""
        started = time.perf_counter()
        wanted: dict[tuple[Task, str], list[int]] = {}
        for index, (item, one) in enumerate(zip(batch, heard, strict=True)):
            attempt = one.take.attempt
            accepted = one.take.text and judge(attempt, item.window.kind, self._guards) == "accept"
            if accepted and (item.window.word_times or attempt.cut):
                wanted.setdefault((item.window.task, one.language), []).append(index)
        placed: dict[int, list[PlacedWord]] = {}
        for group in wanted.values():
            texts = self._place([(batch[index], heard[index], heard[index].take.tokens) for index in group])
            placed |= zip(group, texts, strict=True)
        spent_s = time.perf_counter() - started
        return [
            replace(one, placed=placed.get(index), decode_s=one.decode_s + spent_s) for index, one in enumerate(heard)
        ]

    def _place(self, texts: Sequence[tuple[Prepared, Heard, list[int]]]) -> list[list[PlacedWord]]:
        """Words of texts of one task and language."""
        task, language = texts[0][0].window.task, texts[0][1].language
        alignments = self._calls.align(
            [heard.encoded for _, heard, _ in texts],
            self._tokens.start(task, language),
            [[*item.prior, *tokens] for item, _, tokens in texts],
            frames=[_audio_frames(item.window) for item, _, _ in texts],
        )
        placed = []
        for (item, _, tokens), alignment in zip(texts, alignments, strict=True):
            # What was said before counts as one word, and is left out.
            spellings = [Spelling("", len(item.prior)), *self._tokens.spellings(tokens, task, language)]
            placed.append(place_words(spellings, alignment.pairs, alignment.probabilities)[1:])
        return placed

    def _languages(self, batch: Sequence[Prepared], encoded: Sequence[Encoded]) -> list[tuple[str, float]]:
        """Language of each window and its probability: 1 where it was named."""
        if not self._calls.multilingual:
            return [("en", 1.0)] * len(batch)
        unnamed = [row for item, row in zip(batch, encoded, strict=True) if item.window.language is None]
        guesses = iter(self._calls.detect_languages(unnamed) if unnamed else ())
        return [next(guesses) if item.window.language is None else (item.window.language, 1.0) for item in batch]

    def _prompt(self, item: Prepared, language: str) -> list[int]:
        return self._tokens.prompt(item.prefix, item.window.task, language)

    def _ceiling(self, item: Prepared) -> int:
        """Tokens after which generating stops. Scripts that need very many get them in the second pass."""
        if _stage(item) == "full_context":
            return MAX_NEW_TOKENS
        return min(MAX_NEW_TOKENS, token_ceiling(item.window.own_s, self._guards))

    def _take(self, item: Prepared, stage: Stage, generated: Generated) -> Take:
        # A companion in the batch may have raised the limit of the call above the ceiling of this window.
        cut = generated.cut or len(generated.tokens) >= self._ceiling(item)
        tokens = self._tokens.whole_characters(generated.tokens) if cut else generated.tokens
        if item.prior:
            tokens = self._tokens.without_leading_marks(tokens)
        text = self._tokens.text(tokens)
        attempt = Attempt(
            stage=stage,
            tokens=len(generated.tokens),
            cut=cut,
            has_words=has_words(text),
            compression_ratio=compression_ratio(item.window.prior_text + " " + text if item.prior else text, cut=cut),
            average_log_probability=generated.average_log_probability,
            no_speech_probability=generated.no_speech_probability,
            echoes=bool(item.prior) and echoes(text, item.window.prior_text),
        )
        return Take(tokens, text, attempt)


def _audio_frames(window: Window) -> int:
    return max(1, int(window.duration_s * FRAMES_PER_SECOND))


def _stage(item: Prepared) -> Stage:
    if item.prior:
        return "after_prior"
    return "full_context" if item.group.context_s == FULL_CONTEXT_S else "short_context"
