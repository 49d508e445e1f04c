from hypothesis import given
from hypothesis import strategies as st

from asr_workers.windows.words import PlacedWord, Spelling, place_words, session_words, words_before_cut
from bus.contract.work import SAMPLE_RATE_HZ, Word

SECOND = SAMPLE_RATE_HZ


def placed(text: str, start_s: float, end_s: float, probability: float = 0.9, tokens: int = 1) -> PlacedWord:
    return PlacedWord(text, tokens, start_s, end_s, probability)


def shown(*words: PlacedWord, start_sample: int = 0, samples: int = 30 * SECOND, spaced: bool = True) -> list[Word]:
    return list(session_words(words, start_sample=start_sample, samples=samples, spaced=spaced))


def texts(words: list[Word]) -> list[str]:
    return [word.text for word in words]


def test_a_word_lasts_from_its_first_token_to_the_next_words() -> None:
    alignment = [(0, 10), (0, 11), (1, 20), (2, 30), (2, 35), (3, 50)]
    words = place_words([Spelling(" go", 1), Spelling(" home", 2)], alignment, [0.5, 0.8, 0.6])
    assert [(w.start_s, w.end_s) for w in words] == [(0.2, 0.4), (0.4, 1.0)]
    assert [round(w.probability, 6) for w in words] == [0.5, 0.7]


def test_an_alignment_that_ends_early_ends_the_words_there() -> None:
    words = place_words([Spelling(" a", 1), Spelling(" b", 1)], [(0, 5)], [0.5])
    assert [(w.start_s, w.end_s, w.probability) for w in words] == [(0.1, 0.1, 0.5), (0.1, 0.1, 0.0)]


def test_without_an_alignment_words_stand_at_the_windows_start() -> None:
    assert place_words([Spelling(" a", 1)], [], []) == [placed(" a", 0.0, 0.0, 0.0)]


def test_no_word_begins_in_the_audio_that_was_there_to_be_heard_only() -> None:
    words = session_words(
        [placed(" on", 1.7, 2.2), placed(" we", 2.2, 2.4)],
        start_sample=10 * SECOND,
        samples=3 * SECOND,
        prior_samples=2 * SECOND,
        spaced=True,
    )
    assert words == (Word("on", 12.0, 12.2, 0.9), Word("we", 12.2, 12.4, 0.9))


def test_times_move_to_the_session() -> None:
    (word,) = shown(placed(" hi", 0.5, 0.8), start_sample=10 * SECOND)
    assert word == Word("hi", 10.5, 10.8, 0.9)


def test_marks_and_parts_join_their_word() -> None:
    words = shown(
        placed(' "', 0.0, 0.1),
        placed("six", 0.1, 0.3),
        placed(" o", 0.3, 0.4, 0.5),
        placed("'clock", 0.4, 0.6, 0.8, tokens=2),
        placed(".", 0.6, 2.0),
        placed('"', 2.0, 2.1),
    )
    assert texts(words) == ['"six', "o'clock.\""]
    assert (words[0].start_s, words[0].end_s) == (0.1, 0.3)
    assert (words[1].start_s, words[1].end_s) == (0.3, 0.6)
    assert words[1].probability == 0.7


def test_a_script_without_blanks_keeps_its_characters_apart() -> None:
    words = shown(placed("東", 0.0, 0.2), placed("南", 0.2, 0.4), placed("。", 0.4, 0.5), spaced=False)
    assert texts(words) == ["東", "南。"]


def test_blank_tokens_are_no_words() -> None:
    assert texts(shown(placed(" ", 0.0, 0.1), placed(" a", 0.1, 0.2), placed("", 0.2, 0.2))) == ["a"]


def test_the_first_word_does_not_begin_in_the_silence_before_it() -> None:
    words = shown(placed(" So", 0.0, 2.0), placed(" it", 2.0, 2.2), placed(" is", 2.2, 2.4))
    assert (words[0].start_s, words[0].end_s) == (1.6, 2.0)


def test_the_pause_after_a_sentence_belongs_to_no_word() -> None:
    words = shown(
        placed(" It", 0.0, 0.2),
        placed(" ended.", 0.2, 3.0),
        placed(" Then", 3.0, 5.0),
        placed(" more", 5.0, 5.2),
        placed(" came", 5.2, 5.4),
    )
    assert [(w.start_s, w.end_s) for w in words[1:3]] == [(0.2, 0.6), (4.6, 5.0)]


def test_a_long_word_within_a_sentence_keeps_its_length() -> None:
    words = shown(placed(" a", 0.0, 0.2), placed(" looong", 0.2, 2.0), placed(" b", 2.0, 2.2))
    assert (words[1].start_s, words[1].end_s) == (0.2, 2.0)


def test_words_without_any_length_stay_where_they_are() -> None:
    assert [(w.start_s, w.end_s) for w in shown(placed(" a", 1.0, 1.0))] == [(1.0, 1.0)]


def test_a_text_that_was_cut_loses_the_word_that_may_be_cut_and_the_one_before_it() -> None:
    words = [placed(text, 0.0, 0.0) for text in (" And", " six", " o", "'clock", ",", " tw")]
    assert [word.text for word in words_before_cut(words, spaced=True)] == [" And", " six"]


def test_a_text_that_was_cut_and_has_no_blanks_loses_two_characters() -> None:
    words = [placed(text, 0.0, 0.0) for text in ("東", "南", "。", "西")]
    assert [word.text for word in words_before_cut(words, spaced=False)] == ["東"]


def test_words_behind_a_gap_are_not_kept_of_a_text_that_was_cut() -> None:
    words = [placed(" go", 0.0, 4.0), placed(" home", 4.0, 4.5), placed(".", 4.5, 25.0), placed(" It", 25.0, 25.1)]
    after = [placed(" is", 25.1, 25.2), placed(" la", 25.2, 25.3)]
    kept = words_before_cut([*words, *after], spaced=True)
    assert [(word.text, word.end_s) for word in kept] == [(" go", 4.0), (" home", 4.5), (".", 4.5)]


def test_a_word_that_fills_a_gap_is_not_kept_of_a_text_that_was_cut() -> None:
    words = [placed(" go", 0.5, 1.5), placed(" h", 1.5, 1.7), placed("ome", 1.7, 20.0), placed(" a", 20.0, 20.1)]
    kept = words_before_cut([*words, placed(" b", 20.1, 20.2)], spaced=True)
    assert [word.text for word in kept] == [" go"]


def test_nothing_is_sure_of_two_words_that_were_cut() -> None:
    assert list(words_before_cut([placed(" a", 0.0, 0.1), placed(" b", 0.1, 0.2)], spaced=True)) == []
    assert list(words_before_cut([], spaced=True)) == []


@given(
    times=st.lists(st.tuples(st.floats(-1, 40), st.floats(-1, 40), st.floats(-0.5, 1.5)), max_size=20),
    start_sample=st.integers(0, 10**9),
    samples=st.integers(0, 29 * SECOND),
)
def test_words_are_in_order_and_inside_their_window(
    times: list[tuple[float, float, float]], start_sample: int, samples: int
) -> None:
    words = shown(
        *(placed(f" w{i}", start, end, p) for i, (start, end, p) in enumerate(times)),
        start_sample=start_sample,
        samples=samples,
    )
    assert texts(words) == [f"w{i}" for i in range(len(times))]
    bounds = [moment for word in words for moment in (word.start_s, word.end_s)]
    assert bounds == sorted(bounds)
    start_s = start_sample / SAMPLE_RATE_HZ
    assert all(start_s - 0.001 <= moment <= start_s + samples / SAMPLE_RATE_HZ + 0.001 for moment in bounds)
    assert all(0 <= word.probability <= 1 for word in words)
