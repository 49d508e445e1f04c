import pytest

from benchmarks.chat import bar_rows
from benchmarks.chat_voice import spoken


def test_only_the_figures_of_sections_that_ran_are_held_to_a_bar() -> None:
    rows = bar_rows(
        [{"turns": 50, "turns of many not exact": 1}, {"voice to first token, p50": 0.9, "turns with an error": 0}]
    )
    assert [(row["figure"], row["verdict"]) for row in rows] == [
        ("turns of many not exact", "missed"),
        ("voice to first token, p50", "met"),
        ("turns with an error", "met"),
    ]


def test_a_figure_that_could_not_be_taken_is_not_met() -> None:
    (row,) = bar_rows([{"killed worker to next token, max": float("nan")}])
    assert row["verdict"] == "not measured"


@pytest.mark.parametrize(("name", "utterances"), [("question", 1), ("austen", 5)])
def test_the_bundled_recordings_are_cut_into_utterances_with_silence_around_them(name: str, utterances: int) -> None:
    cuts = spoken(name)
    assert len(cuts) == utterances
    for one in cuts:
        assert len(one.pcm) / 32_000 - one.end_s == pytest.approx(1.5, abs=0.01)
        assert not any(one.pcm[-32_000:])
