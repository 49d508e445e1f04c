"""What every engine keeps, the scripted one and the real one alike."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_workers.engines.base import Decoded, Engine, EngineOptions, Prepared, Window, decode_to_end
from asr_workers.engines.table import open_engine
from bus.contract.work import SAMPLE_RATE_HZ, WindowKind

SAMPLE = Path(__file__).parents[2] / "samples" / "austen.flac"


@pytest.fixture(scope="module", params=["scripted", pytest.param("faster-whisper", marks=pytest.mark.weights)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    path = request.getfixturevalue("whisper_base_path") if request.param == "faster-whisper" else None
    options = EngineOptions(model_name="base", model_path=path, device="cpu", executors=2, max_batch=4)
    opened = open_engine(request.param, options)
    opened.warm_up()
    yield opened
    opened.close()
    opened.close()


def speech(start_s: float, end_s: float) -> bytes:
    audio, rate = soundfile.read(SAMPLE, dtype="int16")
    assert rate == SAMPLE_RATE_HZ
    return bytes(audio[int(start_s * rate) : int(end_s * rate)].tobytes())


def window(
    pcm: bytes, *, kind: WindowKind = "final", start_s: float = 0.0, language: str | None = "en", words: bool = True
) -> Window:
    start_sample = int(start_s * SAMPLE_RATE_HZ)
    return Window(kind=kind, pcm=pcm, start_sample=start_sample, language=language, word_times=words)


def decode_together(engine: Engine, windows: Sequence[Window]) -> list[Decoded]:
    outcomes = engine.decode([engine.prepare(each) for each in windows])
    decoded = [outcome for outcome in outcomes if isinstance(outcome, Decoded)]
    assert len(decoded) == len(windows)
    return decoded


def test_an_engine_says_what_it_can_do(engine: Engine) -> None:
    able = engine.capabilities
    assert (able.model, able.executors, able.max_batch) == ("base", 2, 4)
    assert 1 <= able.slots
    assert {"en", "de", "fr", "es"} <= able.languages


def test_a_batch_gives_the_outcomes_of_its_windows_in_order(engine: Engine) -> None:
    windows = [window(speech(start, start + 4), start_s=start) for start in (0.0, 4.0, 8.0)]
    together = decode_together(engine, windows)
    alone = [decode_to_end(engine, each) for each in windows]
    assert [one.text for one in together] == [one.text for one in alone]
    assert all(one.text for one in together)


def test_windows_of_one_kind_and_length_are_of_one_group(engine: Engine) -> None:
    groups = {engine.prepare(window(speech(start, start + 5))).group for start in (0.0, 3.0)}
    assert len(groups) == 1


def test_words_are_the_text_in_order_inside_the_window(engine: Engine) -> None:
    start_s, end_s = 3.0, 10.0
    decoded = decode_to_end(engine, window(speech(start_s, end_s), start_s=start_s))
    assert " ".join(word.text for word in decoded.words) == decoded.text
    bounds = [moment for word in decoded.words for moment in (word.start_s, word.end_s)]
    assert bounds == sorted(bounds)
    assert start_s <= bounds[0] and bounds[-1] <= end_s
    assert all(0 < word.probability <= 1 for word in decoded.words)


def test_what_was_said_before_is_heard_and_not_given_again(engine: Engine) -> None:
    first = decode_to_end(engine, window(speech(0, 4)))
    whole = window(speech(0, 8))
    second = decode_to_end(
        engine, replace(whole, prior_samples=4 * SAMPLE_RATE_HZ, prior_text=first.text, word_times=True)
    )
    assert second.text and first.text not in second.text
    assert " ".join(word.text for word in second.words) == second.text
    assert all(word.start_s >= 4.0 for word in second.words)


def test_windows_with_and_without_known_text_share_a_batch(engine: Engine) -> None:
    known = decode_to_end(engine, window(speech(0, 4))).text
    windows = [window(speech(4, 8)), replace(window(speech(0, 8)), prior_samples=4 * SAMPLE_RATE_HZ, prior_text=known)]
    assert len({engine.prepare(each).group for each in windows}) == 1
    together = decode_together(engine, windows)
    assert [one.text for one in together] == [decode_to_end(engine, each).text for each in windows]


def test_known_audio_without_a_text_is_left_out(engine: Engine) -> None:
    alone = window(speech(4, 8), start_s=4.0)
    with_head = replace(window(speech(0, 8)), prior_samples=4 * SAMPLE_RATE_HZ)
    assert decode_to_end(engine, with_head).text == decode_to_end(engine, alone).text


def test_words_have_no_times_where_none_are_wanted(engine: Engine) -> None:
    decoded = decode_to_end(engine, window(speech(0, 4), words=False))
    assert decoded.text
    assert decoded.words == ()


@pytest.mark.parametrize("kind", ["final", "partial"])
@pytest.mark.parametrize("length_s", [0.0, 0.01, 3.0])
def test_silence_has_no_text_and_tells_no_language(engine: Engine, kind: WindowKind, length_s: float) -> None:
    decoded = decode_to_end(engine, window(bytes(2 * int(length_s * SAMPLE_RATE_HZ)), kind=kind, language=None))
    assert (decoded.text, decoded.words, decoded.language) == ("", (), None)


def test_speech_tells_its_language(engine: Engine) -> None:
    decoded = decode_to_end(engine, window(speech(0, 6), language=None))
    assert decoded.language == "en"
    assert decoded.language_probability > 0.8


def test_a_partial_never_asks_for_a_second_decode(engine: Engine) -> None:
    noise = np.random.default_rng(3).integers(-3000, 3000, 2 * SAMPLE_RATE_HZ, dtype=np.int16).tobytes()
    for pcm in (noise, speech(0, 2)):
        (outcome,) = engine.decode([engine.prepare(window(pcm, kind="partial"))])
        assert not isinstance(outcome, Prepared)


def test_a_window_above_the_limit_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="longer than"):
        engine.prepare(window(bytes(2 * 30 * SAMPLE_RATE_HZ)))


def test_threads_may_decode_at_the_same_time(engine: Engine) -> None:
    windows = [window(speech(start, start + 3), start_s=start) for start in (0.0, 3.0, 6.0, 9.0)]
    alone = [decode_to_end(engine, each).text for each in windows]
    with ThreadPoolExecutor(engine.capabilities.executors) as threads:
        assert list(threads.map(lambda each: decode_to_end(engine, each).text, windows)) == alone
