from collections.abc import Iterator
from pathlib import Path

import ctranslate2
import numpy as np
import pytest

from asr_workers.engines.whisper_calls import WhisperCalls
from benchmarks.gpu_costs import Load, measure
from benchmarks.gpu_models import Shape, english_prompt, write_random_model

TINY = Shape(width=64, heads=2, encoder_layers=2, decoder_layers=2)
PARTIAL = Load(kind="partial", speech_s=2, context_s=4, beam_size=1)
FINAL = Load(kind="final", speech_s=4, context_s=5, beam_size=3)
FEATURES = [np.random.default_rng(seed).normal(0, 0.5, (80, 400)).astype(np.float32) for seed in range(2)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ctranslate2.models.Whisper]:
    folder: Path = tmp_path_factory.mktemp("tiny")
    write_random_model(folder, TINY)
    yield ctranslate2.models.Whisper(
        str(folder), device="cpu", compute_type="float32", inter_threads=2, intra_threads=1
    )


@pytest.mark.parametrize("load", [PARTIAL, FINAL], ids=["partial", "final"])
@pytest.mark.parametrize("batched", [True, False], ids=["batched", "one-by-one"])
def test_a_random_model_is_measured(model: ctranslate2.models.Whisper, load: Load, batched: bool) -> None:
    calls = WhisperCalls(model, batched=batched)
    cost = measure(calls, load, FEATURES, english_prompt(TINY), batch=3, executors=2, seconds=0)
    assert (cost.batch, cost.executors) == (3, 2)
    assert min(cost.encode_s, cost.generate_s, cost.align_s, cost.windows_per_s) > 0
    assert cost.call_s == pytest.approx(3 * (cost.encode_s + cost.generate_s + cost.align_s))


def test_a_random_model_generates_as_many_tokens_as_it_is_told_to(model: ctranslate2.models.Whisper) -> None:
    for load, tokens in ((PARTIAL, 5), (FINAL, 10)):
        cost = measure(WhisperCalls(model), load, FEATURES, english_prompt(TINY), batch=2, executors=1, seconds=0)
        assert cost.tokens == load.max_tokens == tokens


def test_prompts_name_the_marks_of_the_real_vocabularies() -> None:
    assert english_prompt(TINY) == [50258, 50259, 50359, 50363]
    assert english_prompt(Shape(width=64, heads=2, encoder_layers=2, decoder_layers=2, languages=100))[2:] == [
        50360,
        50364,
    ]
