"""Whisper's texts and word times for prepared windows: tokens, model calls and the guards' figures put together."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import log

from asr_workers.engines.base import Prepared, Window
from asr_workers.engines.encoder_output import Encoded
from asr_workers.engines.whisper_calls import MAX_NEW_TOKENS, Generated, WhisperCalls
from asr_workers.engines.whisper_tokens import MAX_PREFIX_TOKENS, WhisperTokens, is_spaced
from asr_workers.windows.buckets import FULL_CONTEXT_S
from asr_workers.windows.drafts import DraftToken, tokens_that_stand
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
_LEAST_PROBABILITY = 1e-9


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


@dataclass(frozen=True, slots=True)
class Opening:
    """What the decoder is given before it generates."""

    prompt: list[int]
    kept: list[int] = field(default_factory=list)
    """Of the prompt, what belongs to the window's own text."""
    log_probability: float = 0.0
    """Of the kept tokens, in sum."""


class Hearing:
    """Thread-safe, like the calls and the tokens that it is made of."""

    def __init__(
        self, calls: WhisperCalls, tokens: WhisperTokens, guards: Guards, *, beam_size: int, prefills: bool
    ) -> None:
        """`prefills`: the model takes known text in one pass."""
        self._prefills = prefills
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
        openings = [
            self._opening(item, row, language)
            for item, row, (language, _) in zip(batch, encoded, languages, strict=True)
        ]
        generated = self._generate(batch, encoded, openings)
        decode_s = time.perf_counter() - started - encode_s
        heard = [
            Heard(
                encoded=row,
                language=language,
                language_probability=probability,
                take=self._take(item, _stage(item, opening), one, opening),
                encode_s=item.encode_s + encode_s,
                decode_s=item.decode_s + decode_s,
            )
            for item, row, (language, probability), opening, one in zip(
                batch, encoded, languages, openings, generated, strict=True
            )
        ]
        return self._place_together(batch, heard) if self._calls.batched else heard

    def draw(self, item: Prepared, heard: Heard, *, temperature: float) -> Take:
        """Another text for a window, drawn at a temperature."""
        prompt = self._tokens.prompt(item.prefix, item.window.task, heard.language)
        drawn = self._calls.sample(heard.encoded, prompt, temperature=temperature, hypotheses=_HYPOTHESES)
        return self._take(item, "temperature", drawn, Opening(prompt))

    def place(self, item: Prepared, heard: Heard, tokens: list[int]) -> list[PlacedWord]:
        """The words of a text and where in the window they are."""
        if heard.placed is not None and tokens is heard.take.tokens:
            return heard.placed
        (placed,) = self._place([(item, heard, tokens)])
        return placed

    def _opening(self, item: Prepared, encoded: Encoded, language: str) -> Opening:
        """The prompt of a window, and with it what is known: what was said before, and what stands of the draft."""
        window = item.window
        kept: list[int] = []
        probabilities: list[float] = []
        draft = self._tokens.tokens(window.draft, spaced=is_spaced(window.task, language))
        room = MAX_PREFIX_TOKENS - len(item.prefix) - len(item.prior)
        if self._prefills and 0 < len(draft) <= room:
            start = self._tokens.start(window.task, language)
            frames = _audio_frames(window)
            (checked,) = self._calls.align([encoded], start, [[*item.prior, *draft]], frames=[frames])
            probabilities = checked.probabilities[len(item.prior) :]
            kept = draft[: tokens_that_stand(self._draft_tokens(item, draft, language, probabilities))]
        return Opening(
            self._tokens.prompt(item.prefix, window.task, language, [*item.prior, *kept]),
            kept,
            sum(log(max(one, _LEAST_PROBABILITY)) for one in probabilities[: len(kept)]),
        )

    def _draft_tokens(
        self, item: Prepared, draft: Sequence[int], language: str, probabilities: Sequence[float]
    ) -> list[DraftToken]:
        begins: set[int] = set()
        at = 0
        for spelling in self._tokens.spellings(draft, item.window.task, language):
            begins.add(at)
            at += spelling.tokens
        return [
            DraftToken(probability, index in begins, self._tokens.is_mark(token))
            for index, (token, probability) in enumerate(zip(draft, probabilities, strict=True))
        ]

    def _generate(
        self, batch: Sequence[Prepared], encoded: Sequence[Encoded], openings: Sequence[Opening]
    ) -> list[Generated]:
        """Go on after each opening; those of one length share a call."""
        beam_size = self._beam_size if batch[0].window.kind == "final" else 1
        lengths: dict[int, list[int]] = {}
        for index, opening in enumerate(openings):
            lengths.setdefault(len(opening.prompt), []).append(index)
        generated: dict[int, Generated] = {}
        for together in lengths.values():
            found = self._calls.generate(
                [encoded[index] for index in together],
                [openings[index].prompt for index in together],
                max_new_tokens=max(self._ceiling(batch[index]) for index in together),
                beam_size=beam_size,
            )
            generated |= zip(together, found, strict=True)
        return [generated[index] for index in range(len(batch))]

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

    def _ceiling(self, item: Prepared) -> int:
        """Tokens after which generating stops. Scripts that need very many get them in the second pass."""
        if item.group.context_s == FULL_CONTEXT_S:
            return MAX_NEW_TOKENS
        return min(MAX_NEW_TOKENS, token_ceiling(item.window.own_s, self._guards))

    def _take(self, item: Prepared, stage: Stage, generated: Generated, opening: Opening) -> Take:
        # A companion in the batch may have raised the limit of the call above the ceiling of this window.
        cut = generated.cut or len(generated.tokens) >= self._ceiling(item)
        new = self._tokens.whole_characters(generated.tokens) if cut else generated.tokens
        if item.prior and not opening.kept:
            new = self._tokens.without_leading_marks(new)
        tokens = [*opening.kept, *new]
        text = self._tokens.text(tokens)
        known = " ".join(
            part for part in (item.window.prior_text if item.prior else "", self._tokens.text(opening.kept)) if part
        )
        log_probability = generated.average_log_probability * (len(generated.tokens) + 1) + opening.log_probability
        attempt = Attempt(
            stage=stage,
            tokens=len(opening.kept) + len(generated.tokens),
            cut=cut,
            has_words=has_words(text),
            compression_ratio=compression_ratio(f"{item.window.prior_text} {text}" if item.prior else text, cut=cut),
            average_log_probability=log_probability / (len(opening.kept) + len(generated.tokens) + 1),
            no_speech_probability=generated.no_speech_probability,
            echoes=bool(known) and echoes(self._tokens.text(new), known),
        )
        return Take(tokens, text, attempt)


def _audio_frames(window: Window) -> int:
    return max(1, int(window.duration_s * FRAMES_PER_SECOND))


def _stage(item: Prepared, opening: Opening) -> Stage:
    if item.prior or opening.kept:
        return "after_known"
    return "full_context" if item.group.context_s == FULL_CONTEXT_S else "short_context"
