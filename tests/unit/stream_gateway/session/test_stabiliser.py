from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.contract.work import Word
from stream_gateway.session.stabiliser import RunningText, Stabiliser


def said(text: str, *, from_s: float = 0.0, word_s: float = 0.4) -> list[Word]:
    """The words of `text`, one every `word_s`, without gaps."""
    return [
        Word(word, from_s + index * word_s, from_s + (index + 1) * word_s, 0.9)
        for index, word in enumerate(text.split())
    ]


def texts(words: Sequence[Word]) -> list[str]:
    return [word.text for word in words]


def test_a_single_hypothesis_is_shown_but_nothing_of_it_is_stable() -> None:
    assert Stabiliser().on_hypothesis(said("one two three"), language="en") == RunningText("", "one two three")


def test_what_two_hypotheses_agree_on_is_stable_except_the_newest_word() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("one two three"), language="en")

    running = stabiliser.on_hypothesis(said("one two three"), language="en")

    assert running == RunningText("one two", "one two three")
    assert texts(stabiliser.agreed) == ["one", "two"]


def test_agreement_stops_at_the_first_word_that_differs() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("one two tree four five"), language="en")

    running = stabiliser.on_hypothesis(said("one two three four five"), language="en")

    assert running == RunningText("one two", "one two three four five")


def test_case_and_punctuation_do_not_hinder_agreement_and_the_newer_spelling_wins() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("well yes -- of"), language="en")

    running = stabiliser.on_hypothesis(said("Well, yes -- of course"), language="en")

    assert running.stable == "Well, yes -- of"


def test_signs_that_are_not_letters_are_compared_as_they_are() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("- a"), language="en")

    assert stabiliser.on_hypothesis(said("+ a b"), language="en").stable == ""


def test_languages_without_blanks_are_joined_without_them() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("今日 は"), language="ja")

    assert stabiliser.on_hypothesis(said("今日 は いい"), language="ja") == RunningText("今日は", "今日はいい")


def test_stable_text_survives_a_change_of_the_detected_language() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("one two three"), language="en")
    stabiliser.on_hypothesis(said("one two three"), language="en")

    running = stabiliser.on_hypothesis(said("one two three four"), language="ja")

    assert running == RunningText("one twothree", "one twothreefour")


def test_stable_text_stays_when_a_hypothesis_is_shorter_or_silent() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("one two three"), language="en")
    stabiliser.on_hypothesis(said("one two three"), language="en")

    assert stabiliser.on_hypothesis(said("one"), language="en") == RunningText("one two", "one two")
    assert stabiliser.on_hypothesis([], language="en") == RunningText("one two", "one two")


def test_a_word_said_twice_at_the_seam_of_a_trimmed_window_is_kept() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("this is a very very good day"), language="en")
    stabiliser.on_hypothesis(said("this is a very zzz"), language="en")
    assert texts(stabiliser.agreed) == ["this", "is", "a", "very"]

    running = stabiliser.on_hypothesis(said("is a very very good day", from_s=0.4), language="en")

    assert running.text == "this is a very very good day"


def test_a_run_of_equal_words_is_counted_by_place_not_by_sound() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("no no no no no", word_s=0.5), language="en")
    stabiliser.on_hypothesis(said("no no no no no", word_s=0.5), language="en")
    assert len(stabiliser.agreed) == 4

    running = stabiliser.on_hypothesis(said("no no no no", from_s=0.5, word_s=0.5), language="en")

    assert running.text == "no no no no no"


def test_a_word_heard_a_little_later_this_time_is_not_doubled() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("one two three four"), language="en")
    stabiliser.on_hypothesis(said("one two three four"), language="en")

    running = stabiliser.on_hypothesis(said("two three four five", from_s=0.4 + 0.3), language="en")

    assert running.text == "one two three four five"


def test_a_respelled_agreed_word_does_not_come_twice() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("we went over their today"), language="en")
    stabiliser.on_hypothesis(said("we went over their today"), language="en")

    running = stabiliser.on_hypothesis(said("we went over there today then"), language="en")

    assert running.text == "we went over their today then"


def test_agreed_words_whose_times_wandered_are_recognised_by_their_sound() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("one two three"), language="en")
    stabiliser.on_hypothesis(said("one two three"), language="en")

    running = stabiliser.on_hypothesis(said("one two three four", from_s=2.0), language="en")

    assert running.text == "one two three four"


def test_a_context_that_sounds_different_now_is_cut_off_by_the_clock() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("one two three"), language="en")
    stabiliser.on_hypothesis(said("one two three"), language="en")

    running = stabiliser.on_hypothesis(said("won too three four"), language="en")

    assert running.text == "one two three four"


def test_a_window_begins_with_the_utterance_while_that_is_short() -> None:
    stabiliser = Stabiliser(trim_after_s=7.0)
    stabiliser.on_hypothesis(said("a b c d e f"), language="en")
    stabiliser.on_hypothesis(said("a b c d e f"), language="en")

    assert stabiliser.window_start_s(0.0, 7.0) == 0.0


def test_a_window_begins_with_the_utterance_while_nothing_is_agreed() -> None:
    assert Stabiliser().window_start_s(1.0, 20.0) == 1.0


def test_a_window_of_a_long_utterance_begins_three_agreed_words_back() -> None:
    stabiliser = Stabiliser(trim_after_s=7.0)
    stabiliser.on_hypothesis(said("a b c d e f", word_s=1.0), language="en")
    stabiliser.on_hypothesis(said("a b c d e f", word_s=1.0), language="en")

    assert stabiliser.window_start_s(0.0, 7.5) == 2.0


def test_a_window_never_begins_before_its_utterance() -> None:
    stabiliser = Stabiliser(trim_after_s=1.0)
    stabiliser.on_hypothesis(said("a b"), language="en")
    stabiliser.on_hypothesis(said("a b"), language="en")

    assert stabiliser.window_start_s(0.1, 2.0) == 0.1


WORDS = st.builds(
    Word,
    st.sampled_from(["a", "b", "A,", "--", ""]),
    st.floats(0, 10, allow_nan=False),
    st.floats(0, 10, allow_nan=False),
    st.just(0.9),
)


@given(st.lists(st.tuples(st.lists(WORDS, max_size=8), st.sampled_from(["en", "ja", None])), max_size=8))
def test_stable_only_grows_and_text_begins_with_it_whatever_a_decoder_answers(
    hypotheses: list[tuple[list[Word], str | None]],
) -> None:
    stabiliser = Stabiliser()
    before = ""
    for words, language in hypotheses:
        running = stabiliser.on_hypothesis(words, language=language)
        assert running.stable.startswith(before)
        assert running.text.startswith(running.stable)
        before = running.stable


@given(st.lists(WORDS, min_size=1, max_size=8))
def test_two_identical_hypotheses_agree_on_all_but_the_newest_word(words: list[Word]) -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(words, language="en")
    stabiliser.on_hypothesis(words, language="en")

    assert list(stabiliser.agreed) == words[:-1]


@dataclass(frozen=True)
class Speech:
    """What was really said, and a decoder that hears it well but places words up to `jitter_s` off."""

    words: list[Word]
    jitter_s: float
    random: Random

    def decode(self, start_s: float, end_s: float) -> list[Word]:
        """All words of a window; one that the window cuts is garbled."""
        heard = []
        for word in self.words:
            if word.end_s <= start_s or word.start_s >= end_s:
                continue
            whole = word.start_s >= start_s - self.jitter_s and word.end_s <= end_s
            text = word.text if whole else "mumble"
            heard.append(Word(text, self._place(word.start_s), self._place(word.end_s), 0.9))
        return heard

    def _place(self, at_s: float) -> float:
        return at_s + self.random.uniform(-self.jitter_s, self.jitter_s)


@st.composite
def speeches(draw: st.DrawFn) -> Speech:
    """Few different words, so that they repeat; equal neighbours far enough apart to be told apart by their place."""
    words: list[Word] = []
    at_s = 0.0
    for _ in range(draw(st.integers(5, 40))):
        text = draw(st.sampled_from(["no", "yes", "very", "good"]))
        twice = bool(words) and words[-1].text == text
        length_s = draw(st.floats(0.45 if twice else 0.25, 0.7))
        words.append(Word(text, at_s, at_s + length_s, 0.9))
        at_s += length_s
    return Speech(words, draw(st.sampled_from([0.0, 0.02, 0.1])), Random(draw(st.integers(0, 2**32))))


@settings(max_examples=200, deadline=None)
@given(speeches(), st.floats(0.3, 2.0), st.floats(1.0, 7.0))
def test_trimmed_windows_neither_double_nor_lose_words(speech: Speech, cadence_s: float, trim_after_s: float) -> None:
    stabiliser = Stabiliser(trim_after_s=trim_after_s)
    said_texts = texts(speech.words)
    length_s = speech.words[-1].end_s
    end_s = cadence_s
    while end_s < length_s + 3 * cadence_s:
        words = speech.decode(stabiliser.window_start_s(0.0, end_s), end_s)
        running = stabiliser.on_hypothesis(words, language="en")
        shown = running.text.split()
        if shown and shown[-1] == "mumble":
            shown.pop()
        assert texts(stabiliser.agreed) == said_texts[: len(stabiliser.agreed)]
        assert shown == said_texts[: len(shown)]
        end_s += cadence_s

    assert running.text.split() == said_texts


def test_a_word_that_the_decoder_is_not_sure_of_holds_back_all_that_follow() -> None:
    stabiliser = Stabiliser()
    unsure = said("one two three four")
    unsure[1] = Word("two", unsure[1].start_s, unsure[1].end_s, 0.39)
    stabiliser.on_hypothesis(unsure, language="en")

    assert stabiliser.on_hypothesis(unsure, language="en").stable == "one"
    assert stabiliser.on_hypothesis(said("one two three four"), language="en").stable == "one two three"


def test_nothing_becomes_stable_while_agreement_is_suspended() -> None:
    stabiliser = Stabiliser()
    stabiliser.on_hypothesis(said("one two three"), language="en")

    held = stabiliser.on_hypothesis(said("one two three"), language="en", agree=False)

    assert held == RunningText("", "one two three")
    assert stabiliser.on_hypothesis(said("one two three"), language="en").stable == "one two"


def test_the_stable_text_is_given_as_far_as_a_moment() -> None:
    stabiliser = Stabiliser()
    assert stabiliser.stable_until(9.0) == ("", 0.0)
    for _ in range(2):
        stabiliser.on_hypothesis(said("one two three four"), language="en")

    shown = [stabiliser.stable_until(end_s) for end_s in (9.0, 1.21, 1.0, 0.1)]
    assert [text for text, _ in shown] == ["one two three", "one two three", "one two", ""]
    assert [word_end_s for _, word_end_s in shown] == pytest.approx([1.2, 1.2, 0.8, 0.0])
