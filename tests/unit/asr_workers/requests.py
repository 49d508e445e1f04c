"""Builders of requests and of audio that the scripted engine hears."""

import numpy as np

from asr_workers.engines.scripted import CELL_SAMPLES
from bus.contract.work import AsrRequest, WindowKind


def loud(cells: float) -> bytes:
    """Steady noise of so many cells: one word each."""
    samples = np.random.default_rng(1).integers(-8_000, 8_000, int(cells * CELL_SAMPLES), dtype=np.int16)
    return samples.tobytes()


def request(
    kind: WindowKind = "final",
    *,
    session: str = "s1",
    segment: int = 1,
    window: int = 1,
    pcm: bytes | None = None,
    start_sample: int = 0,
    language: str | None = None,
    hotwords: str = "",
    word_times: bool = True,
) -> AsrRequest:
    """A request that the scripted engine answers with `w0 w1`, unless its audio says otherwise."""
    return AsrRequest(
        tenant="t1",
        session=session,
        gateway="g1",
        segment=segment,
        window=window,
        kind=kind,
        start_sample=start_sample,
        pcm=loud(2) if pcm is None else pcm,
        language=language,
        hotwords=hotwords,
        word_times=word_times,
    )
