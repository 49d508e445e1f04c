import pytest

from asr_workers.engines.base import Decoded, Window
from asr_workers.engines.whisper_rest import join, rest_of
from asr_workers.windows.words import PlacedWord
from bus.contract.work import SAMPLE_RATE_HZ, Word

PCM = b"".join(n.to_bytes(2, "little") for n in range(200)) * (SAMPLE_RATE_HZ // 20)
WINDOW = Window(kind="final", pcm=PCM, start_sample=1_000, prompt="Earlier.", hotwords="Dashwood", task="transcribe")


def said(*ends_s: float) -> list[PlacedWord]:
    return [PlacedWord(f" w{index}", 1, 0.0, end_s, 0.9) for index, end_s in enumerate(ends_s)]


def decoded(text: str, **figures: object) -> Decoded:
    word = Word(text, 0.0, 1.0, 0.9)
    return Decoded(**{"text": text, "words": (word,) if text else (), "language": "hi"} | figures)  # type: ignore[arg-type]


def test_the_rest_begins_where_the_last_kept_word_ends() -> None:
    rest = rest_of(WINDOW, said(0.5, 2.5), language="hi")
    assert rest is not None
    assert (rest.start_sample, rest.pcm) == (1_000 + 40_000, PCM[80_000:])
    assert (rest.kind, rest.language, rest.prompt, rest.hotwords) == ("final", "hi", "Earlier.", "Dashwood")


@pytest.mark.parametrize("end_s", [0.0, 0.98, 9.6, 10.0, 12.0])
def test_there_is_no_rest_that_begins_at_once_or_is_too_short(end_s: float) -> None:
    assert WINDOW.duration_s == 10.0
    assert rest_of(WINDOW, said(end_s), language="hi") is None


def test_there_is_no_rest_without_a_sure_word() -> None:
    assert rest_of(WINDOW, (), language="hi") is None


def test_rests_of_rests_come_to_an_end() -> None:
    window: Window | None = WINDOW
    rests = 0
    while window is not None and (window := rest_of(window, said(1.0), language="hi")):
        rests += 1
    assert rests == 9


def test_texts_and_words_are_joined_in_order() -> None:
    both = join(decoded("a b"), decoded("c"), spaced=True)
    assert both.text == "a b c"
    assert [word.text for word in both.words] == ["a b", "c"]
    assert join(decoded("東"), decoded("南"), spaced=False).text == "東南"


def test_a_rest_without_text_adds_nothing() -> None:
    silent = decoded("", language=None, suppressed="no_speech", average_log_probability=-3.0)
    both = join(decoded("a", average_log_probability=-0.2), silent, spaced=True)
    assert (both.text, both.language, both.suppressed, both.average_log_probability) == ("a", "hi", "", -0.2)


def test_a_rest_that_was_dropped_as_a_loop_is_told() -> None:
    assert join(decoded("a"), decoded("", suppressed="repetition"), spaced=True).suppressed == "repetition"


def test_figures_are_those_of_both() -> None:
    head = decoded("aaa", average_log_probability=-0.2, fallback="full_context", encode_s=1.0, decode_s=2.0)
    rest = decoded("b", average_log_probability=-0.6, fallback="temperature", encode_s=0.5, features_s=0.25)
    both = join(head, rest, spaced=True)
    assert both.average_log_probability == pytest.approx(-0.3)
    assert (both.fallback, both.features_s, both.encode_s, both.decode_s) == ("temperature", 0.25, 1.5, 2.0)
    assert join(head, decoded("b"), spaced=True).fallback == "full_context"
