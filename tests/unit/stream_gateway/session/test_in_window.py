import pytest

from bus.contract.work import AsrResult, Word
from stream_gateway.session.in_window import in_window


def a_result(*spans: tuple[float, float]) -> AsrResult:
    words = tuple(Word("a", start_s, end_s, 0.5) for start_s, end_s in spans)
    return AsrResult(session="s1", segment=1, window=1, kind="final", text="a", words=words)


@pytest.mark.parametrize("spans", [(), ((1.0, 2.0),), ((1.0, 1.2), (1.9, 2.0004))])
def test_words_within_their_window_stay_as_they_are(spans: tuple[tuple[float, float], ...]) -> None:
    result = a_result(*spans)
    assert in_window(result, 16_000, 32_000) is result


def test_words_outside_of_their_window_are_moved_to_its_edge() -> None:
    moved = in_window(a_result((0.0, 1.5), (1.6, 9.0), (5000.0, 5001.0)), 16_000, 32_000)
    assert [(word.start_s, word.end_s) for word in moved.words] == [(1.0, 1.5), (1.6, 2.0), (2.0, 2.0)]
    assert moved.text == "a"
