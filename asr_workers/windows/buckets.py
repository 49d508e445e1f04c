"""How much encoder context a window gets. Pure.

The encoder's cost grows with its context and Whisper's usual 30 s is mostly padding. A window is padded to one of a
few fixed lengths instead, so that windows of different sessions fit one batch. Finals get at least 15 s: below that
the text gets worse, by a point of word error rate at 12 s and 1.5 at 10 s, however short the window. Only in a pool
that lags they get 10 s, for 0.6 of the encoder's time. Partials are replaced a moment later and make do with less.
"""

from bus.contract.work import MAX_WINDOW_S, WindowKind

FULL_CONTEXT_S = 30
"""What Whisper was trained on; the fall-back for a window that a shorter context failed."""

FINAL_CONTEXTS_S = (15, 20, 25, FULL_CONTEXT_S)
HURRIED_CONTEXTS_S = (10, *FINAL_CONTEXTS_S)
PARTIAL_CONTEXTS_S = (8, 12, 15, 20, 25, FULL_CONTEXT_S)

TAIL_MARGIN_S = 1.0
"""Padding kept after the audio: without it the decoder misses the end and loops."""


def encoder_context_s(kind: WindowKind, duration_s: float, *, hurried: bool = False) -> int:
    """Seconds of encoder context for a window: the smallest bucket that holds it and its margin.

    ValueError if the window is longer than any request may be.
    """
    if duration_s > MAX_WINDOW_S:
        raise ValueError(f"window is longer than {MAX_WINDOW_S:g} s")
    finals = HURRIED_CONTEXTS_S if hurried else FINAL_CONTEXTS_S
    buckets = finals if kind == "final" else PARTIAL_CONTEXTS_S
    return next(bucket for bucket in buckets if duration_s + TAIL_MARGIN_S <= bucket)
