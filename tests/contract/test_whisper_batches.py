"""What a GPU does, on a CPU with real weights: a batch is encoded and aligned in one call, and windows are its rows."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from asr_workers.engines.base import Decoded, EngineOptions, Outcome, Window
from asr_workers.engines.whisper_ct2 import WhisperCt2Engine
from asr_workers.windows.features import pad_to_context
from bus.contract.work import SAMPLE_RATE_HZ

pytestmark = pytest.mark.weights
SAMPLE = Path(__file__).parents[2] / "samples" / "austen.flac"


@pytest.fixture(scope="module")
def engine(whisper_base_path: Path) -> Iterator[WhisperCt2Engine]:
    opened = WhisperCt2Engine.open(
        EngineOptions(model_name="base", model_path=whisper_base_path, device="cpu", executors=1)
    )
    yield opened
    opened.close()


@pytest.fixture
def batching(engine: WhisperCt2Engine) -> Iterator[WhisperCt2Engine]:
    calls = engine._calls
    assert not calls.batched
    calls.batched = True
    yield engine
    calls.batched = False


def windows() -> list[Window]:
    audio, rate = soundfile.read(SAMPLE, dtype="float32")
    pcm = (np.clip(soxr.resample(audio, rate, SAMPLE_RATE_HZ), -1, 0.9999) * 32768).astype("<i2").tobytes()
    cuts = [pcm[2 * SAMPLE_RATE_HZ * first : 2 * SAMPLE_RATE_HZ * last] for first, last in ((0, 4), (4, 10), (10, 13))]
    named = [Window(kind="final", pcm=cut, start_sample=0, language="en") for cut in cuts]
    return [
        named[0],
        replace(named[1], language=None),
        replace(named[2], language=None),
        replace(named[0], language="de"),
    ]


def decode(engine: WhisperCt2Engine) -> list[Outcome]:
    return engine.decode([engine.prepare(window) for window in windows()])


def timeless(outcome: Outcome) -> Decoded:
    assert isinstance(outcome, Decoded)
    return replace(outcome, features_s=0.0, encode_s=0.0, decode_s=0.0)


def test_a_batch_that_is_encoded_and_aligned_at_once_says_the_same(batching: WhisperCt2Engine) -> None:
    together = [timeless(one) for one in decode(batching)]
    batching._calls.batched = False
    alone = [timeless(one) for one in decode(batching)]
    assert all(one.text and one.words for one in together)
    for one, other in zip(together, alone, strict=True):
        assert (one.text, one.language) == (other.text, other.language)
        assert [word.text for word in one.words] == [word.text for word in other.words]
        for word, twin in zip(one.words, other.words, strict=True):
            assert word.start_s == pytest.approx(twin.start_s, abs=0.05)
            assert word.end_s == pytest.approx(twin.end_s, abs=0.05)


@pytest.mark.parametrize("frames", [(400, 400, 400), (400, 600, 300)], ids=["equally-long", "of-own-length"])
def test_texts_are_placed_alike_in_a_batch_and_alone(batching: WhisperCt2Engine, frames: tuple[int, ...]) -> None:
    calls, tokens = batching._calls, batching._tokens
    prepared = [batching.prepare(window) for window in windows()[:3]]
    rows = calls.encode([pad_to_context(item.features, 15) for item in prepared])
    assert len({id(row.batch) for row in rows}) == 1
    prompt, start = tokens.prompt((), "transcribe", "en"), tokens.start("transcribe", "en")
    texts = [one.tokens for one in calls.generate(rows, [prompt] * 3, max_new_tokens=60, beam_size=1)]
    assert len({len(text) for text in texts}) > 1
    together = calls.align(rows, start, texts, frames=frames)
    alone = [
        calls.align([row], start, [text], frames=[count])[0]
        for row, text, count in zip(rows, texts, frames, strict=True)
    ]
    assert [one.pairs for one in together] == [one.pairs for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, rel=1e-3)
