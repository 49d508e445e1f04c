"""On real weights: the renumbered start of the transcript changes nothing but how known text is taken in."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from faster_whisper import WhisperModel

from asr_workers.engines.encoder_output import Encoded
from asr_workers.engines.whisper_calls import WhisperCalls
from asr_workers.engines.whisper_prefill import START, prefill_files
from asr_workers.engines.whisper_tokens import WhisperTokens
from asr_workers.windows.features import log_mel, pad_to_context

pytestmark = pytest.mark.weights
SAMPLE = Path(__file__).parents[2] / "samples" / "austen.flac"


class Opened:
    def __init__(self, path: Path, *, prefilling: bool) -> None:
        files = prefill_files(path) if prefilling else None
        assert (files is not None) is prefilling
        model = WhisperModel(str(path), files=files, device="cpu", compute_type="int8", cpu_threads=1)
        self.calls = WhisperCalls(model.model)
        self.tokens = WhisperTokens(model.hf_tokenizer, multilingual=True, start=START if prefilling else None)
        audio, rate = soundfile.read(SAMPLE, dtype="int16")
        pcm = np.asarray(audio)[: 8 * rate].tobytes()
        (self.encoded,) = self.calls.encode([pad_to_context(log_mel(pcm, model.feature_extractor), 15)])


@pytest.fixture(scope="module")
def plain(whisper_base_path: Path) -> Opened:
    return Opened(whisper_base_path, prefilling=False)


@pytest.fixture(scope="module")
def prefilling(whisper_base_path: Path) -> Opened:
    return Opened(whisper_base_path, prefilling=True)


@pytest.mark.parametrize("beam_size", [1, 5])
@pytest.mark.parametrize("prefix", [(), (50361, 2221, 13)])
def test_text_and_scores_are_those_of_the_published_model(
    plain: Opened, prefilling: Opened, beam_size: int, prefix: tuple[int, ...]
) -> None:
    one, other = (
        model.calls.generate(
            [model.encoded],
            [model.tokens.prompt(prefix, "transcribe", "en")],
            max_new_tokens=100,
            beam_size=beam_size,
        )[0]
        for model in (plain, prefilling)
    )
    assert one == other


def test_languages_are_found_as_before(plain: Opened, prefilling: Opened) -> None:
    found = [model.calls.detect_languages([model.encoded]) for model in (plain, prefilling)]
    assert found[0] == found[1]


def test_the_text_goes_on_after_what_is_known(prefilling: Opened) -> None:
    tokens, encoded = prefilling.tokens, prefilling.encoded
    whole = _generate(prefilling, encoded, [])
    head = whole[: len(whole) // 2]
    while not tokens.text(whole)[len(tokens.text(head)) :].startswith(" "):
        head.append(whole[len(head)])
    assert tokens.text([*head, *_generate(prefilling, encoded, head)]) == tokens.text(whole)


def _generate(model: Opened, encoded: Encoded, known: list[int]) -> list[int]:
    prompt = model.tokens.prompt((), "transcribe", "en", known)
    return model.calls.generate([encoded], [prompt], max_new_tokens=100, beam_size=1)[0].tokens
