"""How long Whisper's calls take on this machine, measured on noise before the first window comes."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from asr_workers.batch.costs import CallTime
from asr_workers.engines.whisper_calls import WhisperCalls
from asr_workers.engines.whisper_tokens import WhisperTokens
from asr_workers.windows.buckets import FINAL_CONTEXTS_S, PARTIAL_CONTEXTS_S
from asr_workers.windows.features import Features, pad_to_context
from bus.contract.work import WindowKind

TIMING_BUDGET_S = 2.0
"""No measurement starts later than this; what is missing is scaled, and learnt from the first windows."""
_TEXT_TOKENS = 12
"""Length of the texts: what five seconds of English have. Real calls correct it."""


def time_calls(
    calls: WhisperCalls, tokens: WhisperTokens, features: Features, *, executors: int, max_batch: int, beam_size: int
) -> list[CallTime]:
    """Time the smallest contexts, which most windows have, with one window and with a full batch. Blocking.

    All executors take part, so that their calls slow each other as they will later.
    """
    end = time.perf_counter() + TIMING_BUDGET_S

    def timed(cell: tuple[WindowKind, int, int]) -> CallTime | None:
        kind, context_s, windows = cell
        if time.perf_counter() > end:
            return None
        beam = beam_size if kind == "final" else 1
        seconds = _seconds(calls, tokens, pad_to_context(features, context_s), windows=windows, beam_size=beam)
        return CallTime(kind=kind, context_s=context_s, windows=windows, seconds=seconds)

    with ThreadPoolExecutor(executors, "timing") as pool:
        return [one for one in pool.map(timed, _cells(max_batch)) if one is not None]


def _cells(max_batch: int) -> Iterator[tuple[WindowKind, int, int]]:
    """Single windows first: without them a batch tells little."""
    for windows in sorted({1, max_batch}):
        yield "partial", PARTIAL_CONTEXTS_S[0], windows
        yield "final", FINAL_CONTEXTS_S[0], windows


def _seconds(calls: WhisperCalls, tokens: WhisperTokens, padded: Features, *, windows: int, beam_size: int) -> float:
    encoded_at_once = 1 if calls.on_cpu else windows
    started = time.perf_counter()
    encoded = calls.encode([padded] * encoded_at_once)
    encode_s = (time.perf_counter() - started) * windows / encoded_at_once
    started = time.perf_counter()
    calls.generate(
        encoded * (windows // encoded_at_once),
        [tokens.prompt((), "transcribe", "en")] * windows,
        max_new_tokens=_TEXT_TOKENS,
        beam_size=beam_size,
        suppress=(tokens.end,),  # noise has no words: the text must go on to be one
    )
    return encode_s + time.perf_counter() - started
