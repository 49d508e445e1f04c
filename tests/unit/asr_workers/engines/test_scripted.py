import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_workers.engines.base import Decoded, EngineOptions, Window, decode_to_end
from asr_workers.engines.scripted import CELL_SAMPLES, ScriptedEngine, expected_words
from bus.contract.work import SAMPLE_RATE_HZ
from tests.unit.asr_workers.requests import loud

AUDIO = loud(20)


def decode(pcm: bytes, start_sample: int = 0) -> Decoded:
    engine = ScriptedEngine(EngineOptions(model_name="m", model_path=None))
    return decode_to_end(engine, Window(kind="final", pcm=pcm, start_sample=start_sample))


def test_words_name_their_place_in_the_session() -> None:
    decoded = decode(loud(2), start_sample=10 * CELL_SAMPLES)
    assert decoded.text == "w10 w11"
    assert [(w.start_s, w.end_s) for w in decoded.words] == [(4.0, 4.4), (4.4, 4.8)]


def test_silence_has_no_words_and_tells_no_language() -> None:
    decoded = decode(bytes(4 * CELL_SAMPLES))
    assert (decoded.text, decoded.words, decoded.language, decoded.suppressed) == ("", (), None, "no_speech")


def test_an_empty_window_has_no_words() -> None:
    assert decode(b"").text == ""


def test_a_silent_cell_is_left_out() -> None:
    quiet = loud(1) + bytes(2 * CELL_SAMPLES) + loud(1)
    assert expected_words(quiet) == ["w0", "w2"]


@settings(max_examples=50)
@given(end=st.integers(0, len(AUDIO) // 2), more=st.integers(0, len(AUDIO) // 2))
def test_a_growing_window_only_adds_words(end: int, more: int) -> None:
    shorter, longer = decode(AUDIO[: 2 * end]).text.split(), decode(AUDIO[: 2 * max(end, more)]).text.split()
    assert longer[: len(shorter)] == shorter


@settings(max_examples=50)
@given(cuts=st.lists(st.integers(0, len(AUDIO) // 2), max_size=6))
def test_windows_that_join_give_each_word_once(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(AUDIO) // 2]
    words = [
        word
        for start, end in zip(edges, edges[1:], strict=False)
        for word in decode(AUDIO[2 * start : 2 * end], start).text.split()
    ]
    assert words == expected_words(AUDIO)


def test_words_stay_inside_their_window() -> None:
    pcm = np.frombuffer(AUDIO, dtype="<i2")[1_000:9_000].tobytes()
    for word in decode(pcm, 1_000).words:
        assert 1_000 / SAMPLE_RATE_HZ <= word.start_s <= word.end_s <= 9_000 / SAMPLE_RATE_HZ


def test_marked_words_tell_the_sample_they_were_read_at() -> None:
    pcm = loud(2)
    engine = ScriptedEngine(EngineOptions(model_name="m", model_path=None))
    window = Window(kind="final", pcm=pcm, start_sample=0, hotwords="scripted:marked")
    words = decode_to_end(engine, window).text.split()
    assert words == expected_words(pcm, marked=True)
    assert [word.partition("x")[0] for word in words] == expected_words(pcm)
    middle = CELL_SAMPLES // 2
    assert int(words[0].partition("x")[2], 16) == int.from_bytes(pcm[2 * middle : 2 * middle + 2], "little")


def test_marked_words_tell_audio_that_was_shifted() -> None:
    pcm = np.arange(3 * CELL_SAMPLES, dtype="<i2").tobytes()
    assert expected_words(pcm, marked=True) != expected_words(pcm[2:] + pcm[:2], marked=True)
