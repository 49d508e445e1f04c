import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_workers.windows.drafts import keeps_draft, with_draft

words = st.lists(st.sampled_from(["a", "b", "c", "B.", "d"]), max_size=6)


@pytest.mark.parametrize(
    ("draft", "final", "both"),
    [
        ("He'll smile", "Hale smiled. He loved", "He'll smile He loved"),
        ("all the way", "all the long way home", "all the way home"),
        ("all the long way", "all the way home", "all the long way home"),
        ("a long cry", "along cry came", "a long cry came"),
        ("we went", "we wend our way", "we went our way"),
        ("we went on", "we", "we went on"),
        ("some thing else", "something else now", "some thing else now"),
    ],
)
def test_shown_words_take_the_place_of_what_differs(draft: str, final: str, both: str) -> None:
    assert with_draft(draft.split(), final.split()) == both.split()


def test_words_that_agree_are_spelled_as_in_the_final() -> None:
    assert with_draft(["hello", "you"], ["Hello,", "you", "there."]) == ["Hello,", "you", "there."]


def test_marks_alone_are_words_of_their_own() -> None:
    assert with_draft(["-"], ["?", "yes"]) == ["-", "yes"]


@given(words)
def test_without_a_draft_the_final_stays(final: list[str]) -> None:
    assert with_draft([], final) == final


@given(words, words)
def test_every_shown_word_is_there_in_order(draft: list[str], final: list[str]) -> None:
    sounds = [word.strip(".").casefold() for word in with_draft(draft, final)]
    at = 0
    for word in draft:
        at = sounds.index(word.strip(".").casefold(), at) + 1


def test_shown_words_stay_unless_they_are_clearly_less_likely() -> None:
    assert keeps_draft([0.5, 0.5], [0.9, 0.9])
    assert keeps_draft([0.9], [0.5, 0.5])
    assert not keeps_draft([0.001, 0.9], [0.9, 0.9])


def test_an_impossible_token_is_no_error() -> None:
    assert not keeps_draft([0.0], [0.9])
