"""Whisper's texts and word times for prepared windows: tokens, model calls and the guards' figures put together."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import log

from asr_workers.engines.base import Prepared, Window
from asr_workers.engines.encoder_output import Encoded
from asr_workers.engines.whisper_calls import MAX_NEW_TOKENS, Alignment, Generated, WhisperCalls
from asr_workers.engines.whisper_tokens import MAX_PREFIX_TOKENS, WhisperTokens, is_spaced
from asr_workers.windows.buckets import FULL_CONTEXT_S
from asr_workers.windows.drafts import DraftToken, tokens_after, tokens_that_stand
from asr_workers.windows.features import FRAMES_PER_SECOND, pad_to_context
from asr_workers.windows.guards import (
    Attempt,
    Guards,
    Stage,
    compression_ratio,
    echoes,
    goes_on,
    has_words,
    repeats_itself,
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
    """Words of the take, if they are known already."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the decoder is given before it generates."""

    prompt: list[int]
    ceiling: int
    """Tokens after which generating stops."""
    beam_size: int
    kept: list[int] = field(default_factory=list)
    """Of the prompt, what belongs to the window's own text."""
    log_probability: float = 0.0
    """Of the kept tokens, in sum."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A text as generated after an opening, the opening's kept tokens included."""

    tokens: list[int]
    kept: int
    """Tokens at its head that were known."""
    generated: Generated
    cut: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """One window of a batch."""

    item: Prepared
    encoded: Encoded
    language: str
    language_probability: float


class Hearing:
    """Thread-safe, like the calls and the tokens that it is made of.

    A draft is taken at its word: the text is generated after all of it, and the alignment that gives the word times of
    the whole tells what of it is in doubt. Only then, seldom, is the text generated anew from the first doubtful token.
    """

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
        """Encode, find the languages that are not named, generate, check drafts; on a GPU place the words too."""
        started = time.perf_counter()
        encoded = self._calls.encode([pad_to_context(item.features, item.group.context_s) for item in batch])
        encode_s = time.perf_counter() - started
        rows = [
            _Row(item, one, *language)
            for item, one, language in zip(batch, encoded, self._languages(batch, encoded), strict=True)
        ]
        openings = [self._opening(row, row.item.window.draft) for row in rows]
        texts = self._generate(rows, openings)
        alignments = self._align_together(rows, openings, texts)
        openings = [
            self._checked(row, opening, text, alignment) if opening.kept else opening
            for row, opening, text, alignment in zip(rows, openings, texts, alignments, strict=True)
        ]
        doubtful = [index for index, text in enumerate(texts) if text.kept != len(openings[index].kept)]
        again = self._generate([rows[index] for index in doubtful], [openings[index] for index in doubtful])
        for index, text in zip(doubtful, again, strict=True):
            texts[index], alignments[index] = text, None
        decode_s = time.perf_counter() - started - encode_s
        return [
            Heard(
                encoded=row.encoded,
                language=row.language,
                language_probability=row.language_probability,
                take=self._take(row.item, _stage(row.item, opening), text, opening),
                encode_s=row.item.encode_s + encode_s,
                decode_s=row.item.decode_s + decode_s,
                placed=None if alignment is None else self._placed(row.item, row.language, text.tokens, alignment),
            )
            for row, opening, text, alignment in zip(rows, openings, texts, alignments, strict=True)
        ]

    def draw(self, item: Prepared, heard: Heard, *, temperature: float) -> Take:
        """Another text for a window, drawn at a temperature."""
        prompt = self._tokens.prompt(item.prefix, item.window.task, heard.language)
        drawn = self._calls.sample(heard.encoded, prompt, temperature=temperature, hypotheses=_HYPOTHESES)
        opening = Opening(prompt, MAX_NEW_TOKENS, 1)
        return self._take(item, "temperature", self._text(item, drawn, opening), opening)

    def place(self, item: Prepared, heard: Heard, tokens: list[int]) -> list[PlacedWord]:
        """The words of a text and where in the window they are."""
        if heard.placed is not None and tokens is heard.take.tokens:
            return heard.placed
        start = self._tokens.start(item.window.task, heard.language)
        (alignment,) = self._calls.align(
            [heard.encoded], start, [[*item.prior, *tokens]], frames=[_audio_frames(item.window)]
        )
        return self._placed(item, heard.language, tokens, alignment)

    def _opening(self, row: _Row, draft: str) -> Opening:
        """The prompt of a window, and with it what is known: what was said before, and the draft."""
        item, window = row.item, row.item.window
        kept = self._tokens.tokens(draft, spaced=is_spaced(window.task, row.language))
        if not self._prefills or len(kept) > MAX_PREFIX_TOKENS - len(item.prefix) - len(item.prior):
            kept = []
        ceiling = self._ceiling(item)
        if kept:
            ceiling = min(ceiling, tokens_after(len(kept), len(draft), window.after_draft_s))
        # What follows a draft is a few words: a beam makes nothing of them that greedy does not.
        return Opening(self._prompt(row, kept), ceiling, 1 if kept else self._beam(item), kept)

    def _checked(self, row: _Row, opening: Opening, text: _Text, alignment: Alignment | None) -> Opening:
        """The opening with what stands of its draft, by the probabilities of its tokens; none if it led astray."""
        assert alignment is not None, "texts that go on after a draft are aligned"
        own = alignment.probabilities[len(row.item.prior) :]
        kept = opening.kept[
            : tokens_that_stand(self._draft_tokens(row, opening.kept, own), hurried=row.item.window.hurried)
        ]
        log_probability = sum(log(max(one, _LEAST_PROBABILITY)) for one in own[: len(kept)])
        if len(kept) < len(opening.kept):
            item = row.item
            return Opening(self._prompt(row, kept), self._ceiling(item), self._beam(item), kept, log_probability)
        checked = replace(opening, log_probability=log_probability)
        if goes_on(self._take(row.item, "after_known", text, checked).attempt, self._guards):
            return checked
        return self._opening(row, "")

    def _prompt(self, row: _Row, kept: Sequence[int]) -> list[int]:
        item = row.item
        return self._tokens.prompt(item.prefix, item.window.task, row.language, [*item.prior, *kept])

    def _draft_tokens(self, row: _Row, draft: Sequence[int], probabilities: Sequence[float]) -> list[DraftToken]:
        begins: set[int] = set()
        at = 0
        for spelling in self._tokens.spellings(draft, row.item.window.task, row.language):
            begins.add(at)
            at += spelling.tokens
        return [
            DraftToken(probability, index in begins, self._tokens.is_mark(token))
            for index, (token, probability) in enumerate(zip(draft, probabilities, strict=False))
        ]

    def _generate(self, rows: Sequence[_Row], openings: Sequence[Opening]) -> list[_Text]:
        """Go on after each opening; those of one length and beam share a call."""
        alike: dict[tuple[int, int], list[int]] = {}
        for index, opening in enumerate(openings):
            alike.setdefault((len(opening.prompt), opening.beam_size), []).append(index)
        texts: dict[int, _Text] = {}
        for (_, beam_size), together in alike.items():
            found = self._calls.generate(
                [rows[index].encoded for index in together],
                [openings[index].prompt for index in together],
                max_new_tokens=max(openings[index].ceiling for index in together),
                beam_size=beam_size,
            )
            for index, one in zip(together, found, strict=True):
                texts[index] = self._text(rows[index].item, one, openings[index])
        return [texts[index] for index in range(len(rows))]

    def _text(self, item: Prepared, generated: Generated, opening: Opening) -> _Text:
        # A companion in the batch may have raised the limit of the call above the ceiling of this window.
        cut = generated.cut or len(generated.tokens) >= opening.ceiling
        new = self._tokens.whole_characters(generated.tokens) if cut else generated.tokens
        if item.prior and not opening.kept:
            new = self._tokens.without_leading_marks(new)
        return _Text([*opening.kept, *new], len(opening.kept), generated, cut)

    def _align_together(
        self, rows: Sequence[_Row], openings: Sequence[Opening], texts: Sequence[_Text]
    ) -> list[Alignment | None]:
        """Align texts that go on after a draft, and where batches pay all others whose words are wanted.

        One call for each task and language: its texts share their start.
        """
        together: dict[tuple[Task, str], list[int]] = {}
        for index, (row, opening, text) in enumerate(zip(rows, openings, texts, strict=True)):
            window = row.item.window
            if opening.kept or (self._calls.batched and text.tokens and (window.word_times or text.cut)):
                together.setdefault((window.task, row.language), []).append(index)
        alignments: list[Alignment | None] = [None] * len(rows)
        for (task, language), group in together.items():
            found = self._calls.align(
                [rows[index].encoded for index in group],
                self._tokens.start(task, language),
                [[*rows[index].item.prior, *texts[index].tokens] for index in group],
                frames=[_audio_frames(rows[index].item.window) for index in group],
            )
            for index, one in zip(group, found, strict=True):
                alignments[index] = one
        return alignments

    def _placed(self, item: Prepared, language: str, tokens: Sequence[int], alignment: Alignment) -> list[PlacedWord]:
        # What was said before counts as one word, and is left out.
        spellings = [Spelling("", len(item.prior)), *self._tokens.spellings(tokens, item.window.task, language)]
        return place_words(spellings, alignment.pairs, alignment.probabilities)[1:]

    def _languages(self, batch: Sequence[Prepared], encoded: Sequence[Encoded]) -> list[tuple[str, float]]:
        """Language of each window and its probability: 1 where it was named."""
        if not self._calls.multilingual:
            return [("en", 1.0)] * len(batch)
        unnamed = [row for item, row in zip(batch, encoded, strict=True) if item.window.language is None]
        guesses = iter(self._calls.detect_languages(unnamed) if unnamed else ())
        return [next(guesses) if item.window.language is None else (item.window.language, 1.0) for item in batch]

    def _beam(self, item: Prepared) -> int:
        return self._beam_size if item.window.kind == "final" else 1

    def _ceiling(self, item: Prepared) -> int:
        """Tokens after which generating stops. Scripts that need very many get them in the second pass."""
        if item.group.context_s == FULL_CONTEXT_S:
            return MAX_NEW_TOKENS
        return min(MAX_NEW_TOKENS, token_ceiling(item.window.own_s, self._guards))

    def _take(self, item: Prepared, stage: Stage, text: _Text, opening: Opening) -> Take:
        generated = text.generated
        words = self._tokens.text(text.tokens)
        known = " ".join(
            part for part in (item.window.prior_text if item.prior else "", self._tokens.text(opening.kept)) if part
        )
        log_probability = generated.average_log_probability * (len(generated.tokens) + 1) + opening.log_probability
        attempt = Attempt(
            stage=stage,
            tokens=len(opening.kept) + len(generated.tokens),
            cut=text.cut,
            has_words=has_words(words),
            compression_ratio=compression_ratio(
                f"{item.window.prior_text} {words}" if item.prior else words, cut=text.cut
            ),
            average_log_probability=log_probability / (len(opening.kept) + len(generated.tokens) + 1),
            no_speech_probability=generated.no_speech_probability,
            echoes=bool(known)
            and (echoes(self._tokens.text(text.tokens[len(opening.kept) :]), known) or repeats_itself(words)),
        )
        return Take(text.tokens, words, attempt)


def _audio_frames(window: Window) -> int:
    return max(1, int(window.duration_s * FRAMES_PER_SECOND))


def _stage(item: Prepared, opening: Opening) -> Stage:
    if item.prior or opening.kept:
        return "after_known"
    return "full_context" if item.group.context_s == FULL_CONTEXT_S else "short_context"
