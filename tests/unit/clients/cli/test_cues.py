from hypothesis import given
from hypothesis import strategies as st

from bus.contract.work import Word
from clients.cli.cues import MAX_LINE_COLUMNS, MAX_LINES, MIN_CUE_S, Cue, columns, cut_into_cues


def words(text: str, *, word_s: float = 0.3, start_s: float = 0.0) -> tuple[Word, ...]:
    return tuple(
        Word(word, start_s + index * word_s, start_s + (index + 1) * word_s, 0.9)
        for index, word in enumerate(text.split())
    )


def test_a_short_text_is_one_cue_with_the_times_of_its_words() -> None:
    text = "Hello, world."
    assert cut_into_cues(text, words(text, start_s=2.0), start_s=1.5, end_s=4.0) == [
        Cue(start_s=2.0, end_s=2.6, lines=("Hello, world.",))
    ]


def test_an_empty_text_has_no_cue() -> None:
    assert cut_into_cues("  ", (), start_s=0.0, end_s=1.0) == []


def test_lines_break_between_words_and_cues_after_two_lines() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    cues = cut_into_cues(text, words(text), start_s=0.0, end_s=10.0)
    assert cues[0].lines == ("one two three four five six seven eight", "nine ten eleven twelve thirteen fourteen")
    assert cues[1].lines == ("fifteen sixteen seventeen",)
    assert cues[1].start_s == 14 * 0.3


def test_slow_speech_is_cut_by_time() -> None:
    text = "so slow that it hurts"
    cues = cut_into_cues(text, words(text, word_s=3.0), start_s=0.0, end_s=15.0)
    assert [cue.lines for cue in cues] == [("so slow",), ("that it",), ("hurts",)]


def test_the_text_decides_about_blanks_and_punctuation() -> None:
    spoken = (Word("well", 0.0, 0.3, 0.9), Word("known", 0.3, 0.6, 0.9))
    cues = cut_into_cues("“well-known”", spoken, start_s=0.0, end_s=1.0)
    assert cues[0].lines == ("“well-known”",)


def test_chinese_words_are_joined_without_blanks_and_count_double() -> None:
    text = "今天天气很好我们去公园散步吧然后回家吃饭看书睡觉明天再来"
    spoken = tuple(Word(character, index * 0.2, index * 0.2 + 0.2, 0.9) for index, character in enumerate(text))
    cues = cut_into_cues(text, spoken, start_s=0.0, end_s=6.0)
    assert [len(line) for line in cues[0].lines] == [21, 7]
    assert "".join(cues[0].lines) == text


def test_words_that_do_not_fit_the_text_leave_its_time_spread_evenly() -> None:
    cues = cut_into_cues("abcd efgh", (Word("other", 0.0, 9.0, 0.9),), start_s=1.0, end_s=3.0)
    assert cues == [Cue(start_s=1.0, end_s=3.0, lines=("abcd efgh",))]


def test_a_text_without_blanks_is_cut_where_the_line_ends() -> None:
    cues = cut_into_cues("x" * 100, (), start_s=0.0, end_s=5.0)
    assert [tuple(len(line) for line in cue.lines) for cue in cues] == [(42, 42), (16,)]


def test_a_word_of_no_length_still_gives_a_visible_cue() -> None:
    cues = cut_into_cues("hi", (Word("hi", 1.0, 1.0, 0.9),), start_s=1.0, end_s=1.0)
    assert cues == [Cue(start_s=1.0, end_s=1.0 + MIN_CUE_S, lines=("hi",))]


@given(
    spoken=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=60),
            st.floats(0.0, 4.0),
        ),
        max_size=20,
    ),
    timed=st.booleans(),
)
def test_cues_hold_the_whole_text_in_order_within_the_limits(spoken: list[tuple[str, float]], timed: bool) -> None:
    text = " ".join(word for word, _ in spoken)
    at_s, placed = 0.0, []
    for word, length_s in spoken:
        placed.append(Word(word, at_s, at_s + length_s, 0.5))
        at_s += length_s
    cues = cut_into_cues(text, placed if timed else (), start_s=0.0, end_s=at_s)
    assert "".join("".join(cue.lines) for cue in cues).replace(" ", "") == text.replace(" ", "")
    assert all(1 <= len(cue.lines) <= MAX_LINES for cue in cues)
    assert all(columns(line) <= MAX_LINE_COLUMNS for cue in cues for line in cue.lines)
    assert all(cue.start_s < cue.end_s for cue in cues)
    assert all(before.end_s <= after.start_s for before, after in zip(cues, cues[1:], strict=False))
