"""What the decoder's limit cut off: where the rest of a window begins, and how the texts are joined. Pure.

Whisper writes 224 tokens at a time: half a minute of English, 15 s of Hindi, 7 s of Georgian. The rest of a longer
final is decoded from the end of its last sure word on, as a window of its own.
"""

from collections.abc import Sequence
from dataclasses import replace

from asr_workers.engines.base import Decoded, Window
from asr_workers.windows.words import EARLIEST_CUT_S, PlacedWord
from bus.contract.work import SAMPLE_RATE_HZ

MIN_REST_S = 0.5
"""Whisper invents words for less."""


def rest_of(window: Window, kept: Sequence[PlacedWord], *, language: str) -> Window | None:
    """The window from the end of the kept words on; None if that moves on by too little or leaves too little.

    Each rest is shorter by `EARLIEST_CUT_S` at least, so there are no more of them than the window has seconds. It
    keeps the window's prompt: with the kept words as prompt, what sounds like them is sometimes left out.
    """
    start_s = kept[-1].end_s if kept else 0.0
    if start_s < EARLIEST_CUT_S or window.duration_s - start_s < MIN_REST_S:
        return None
    samples = int(start_s * SAMPLE_RATE_HZ)
    return replace(
        window,
        pcm=window.pcm[2 * samples :],
        start_sample=window.start_sample + samples,
        language=language,
        draft="",
    )


def join(head: Decoded, rest: Decoded, *, spaced: bool) -> Decoded:
    """One outcome of both. `repetition` stays visible, for it means that text was lost; silence at the end does not."""
    head_share = len(head.text) / max(1, len(head.text) + len(rest.text))
    return replace(
        head,
        text=(" " if spaced else "").join(text for text in (head.text, rest.text) if text),
        words=head.words + rest.words,
        average_log_probability=(
            head_share * head.average_log_probability + (1 - head_share) * rest.average_log_probability
        ),
        fallback=rest.fallback or head.fallback,
        suppressed="repetition" if rest.suppressed == "repetition" else head.suppressed,
        features_s=head.features_s + rest.features_s,
        encode_s=head.encode_s + rest.encode_s,
        decode_s=head.decode_s + rest.decode_s,
    )
