"""A transcript as a Deepgram client expects it: without punctuation and capitals, unless it asked for them."""

from bus.contract.work import Word
from stream_gateway.dialects.deepgram_messages import Alternative, SpokenWord


def bare(token: str) -> str:
    """A token in lower case, without the punctuation around it; what stands within a word or number stays."""
    kept = [index for index, char in enumerate(token) if char.isalnum()]
    return token[kept[0] : kept[-1] + 1].lower() if kept else ""


def alternative(
    text: str, words: tuple[Word, ...], *, punctuate: bool, not_before_s: float, languages: tuple[str, ...] = ()
) -> Alternative:
    """The one thing that was said; no word begins before `not_before_s`, where its result does."""
    tokens = (bare(token) for token in text.split())
    fields = {"languages": languages} if languages else {}
    return Alternative(
        transcript=text if punctuate else " ".join(token for token in tokens if token),
        confidence=round(sum(word.probability for word in words) / len(words), 4) if words else 0.0,
        words=tuple(_spoken(word, not_before_s, punctuate=punctuate) for word in words if bare(word.text)),
        **fields,
    )


def _spoken(word: Word, not_before_s: float, *, punctuate: bool) -> SpokenWord:
    start_s = round(max(word.start_s, not_before_s), 3)
    fields = {"punctuated_word": word.text} if punctuate else {}
    return SpokenWord(
        word=bare(word.text),
        start=start_s,
        end=max(start_s, round(word.end_s, 3)),
        confidence=round(word.probability, 4),
        **fields,
    )
