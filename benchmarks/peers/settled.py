"""When the words of an utterance came to rest, from nothing but the texts that a user saw. Pure.

The peers do not say which text is final, and give words no times, so all of it is read off the texts: the final text is
aligned with what was said, and each earlier text with the final one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

import jiwer

from benchmarks.recordings import Recording
from benchmarks.scoring import tokens
from bus.contract.client_protocol import ServerEvent, TranscriptFinal, TranscriptPartial


@dataclass(frozen=True, slots=True)
class Settled:
    """One utterance as a user saw it come, in seconds of wall time; None where its words never came."""

    first_s: float | None
    """True start of speech until any word was shown where its words belong."""
    last_word_s: float | None
    """True end of speech until its last word stood where it stayed, after the same word as in the end."""
    whole_s: float | None
    """True end of speech until all its words stood as they stayed."""
    lost: bool
    """More than half of its words have nothing in the final text, not even a wrong word."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Where an utterance lies in the final text: positions of words, the end excluded."""

    start: int
    end: int
    lost: bool


def settled(recording: Recording, texts: Sequence[tuple[float, str]]) -> list[Settled]:
    """One row per utterance of the manifest. `texts` holds the whole text whenever it changed, in order of time."""
    seen = [(at, tokens(text, recording.language)) for at, text in texts]
    final = seen[-1][1] if seen else []
    said = [tokens(one.text, recording.language) for one in recording.utterances]
    places = [(at, len(words), _places(final, words)) for at, words in seen]
    return [
        _settled(spoken.start_s, spoken.end_s, span, places)
        for spoken, span in zip(recording.utterances, _spans(said, final), strict=True)
    ]


def _settled(
    start_s: float, end_s: float, span: _Span, places: Sequence[tuple[float, int, Mapping[int, int]]]
) -> Settled:
    if span.lost:
        return Settled(None, None, None, lost=True)
    first = [at for at, length, _ in places if at >= start_s and length > span.start]
    last_two = range(max(span.start, span.end - 2), span.end)
    return Settled(
        first_s=first[0] - start_s if first else None,
        last_word_s=_rest_at(last_two, places) - end_s,
        whole_s=_rest_at(range(span.start, span.end), places) - end_s,
        lost=False,
    )


def _rest_at(words: range, places: Sequence[tuple[float, int, Mapping[int, int]]]) -> float:
    """When these words of the final text were last put where they are. The last text has them all."""
    rest_at = places[-1][0]
    for at, _, place in reversed(places):
        if not _stands(words, place):
            break
        rest_at = at
    return rest_at


def _stands(words: range, place: Mapping[int, int]) -> bool:
    """Whether all are there, one right after the other."""
    return all(word in place for word in words) and all(place[b] - place[a] == 1 for a, b in pairwise(words))


def _places(final: Sequence[str], words: Sequence[str]) -> dict[int, int]:
    """For words of the final text, by position, the position in an earlier text."""
    blocks = SequenceMatcher(a=final, b=words, autojunk=False).get_matching_blocks()
    return {block.a + offset: block.b + offset for block in blocks for offset in range(block.size)}


def _spans(said: Sequence[Sequence[str]], final: Sequence[str]) -> list[_Span]:
    """Where each utterance lies in the final text. A word too many belongs to the utterance before it."""
    if not final or not any(said):
        return [_Span(0, 0, lost=True) for _ in said]
    (chunks,) = jiwer.process_words(" ".join(word for one in said for word in one), " ".join(final)).alignments
    found: dict[int, int] = {}
    for chunk in chunks:
        if chunk.type in ("equal", "substitute"):
            refs = range(chunk.ref_start_idx, chunk.ref_end_idx)
            found |= dict(zip(refs, range(chunk.hyp_start_idx, chunk.hyp_end_idx), strict=True))
    spans, begin = [], 0
    for one in said:
        places = [found[word] for word in range(begin, begin + len(one)) if word in found]
        begin += len(one)
        lost = 2 * len(places) < len(one) or not places
        spans.append(_Span(0, 0, lost=True) if lost else _Span(places[0], places[-1] + 1, lost=False))
    return spans


def texts_of(events: Sequence[tuple[float, ServerEvent]]) -> list[tuple[float, str]]:
    """What a user of this service saw: all finals, and the partials of what is not final yet, whenever that changed."""
    segments: dict[tuple[int, int], str] = {}
    texts: list[tuple[float, str]] = []
    for at, event in events:
        if isinstance(event, TranscriptPartial | TranscriptFinal):
            segments[event.channel, event.segment] = event.text
            text = " ".join(segments[key] for key in sorted(segments) if segments[key])
            if not texts or texts[-1][1] != text:
                texts.append((at, text))
    return texts
