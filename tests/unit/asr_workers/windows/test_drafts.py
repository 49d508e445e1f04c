import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_workers.windows.drafts import (
    LEAST_PROBABILITY,
    LEAST_PROBABILITY_HURRIED,
    DraftToken,
    tokens_after,
    tokens_that_stand,
)

SURE, DOUBTFUL = LEAST_PROBABILITY, LEAST_PROBABILITY / 2


def draft(*words: str, doubtful: int | None = None) -> list[DraftToken]:
    """One token for each syllable of "two-part" words, and for a full stop that ends them."""
    parts: list[tuple[str, bool]] = []
    for word in words:
        first, *rest = word.removesuffix(".").split("-")
        parts += [(first, True), *((part, False) for part in rest), *([(".", False)] if word.endswith(".") else [])]
    return [
        DraftToken(DOUBTFUL if index == doubtful else SURE, begins, part == ".")
        for index, (part, begins) in enumerate(parts)
    ]


def test_a_draft_without_a_doubt_stands() -> None:
    assert tokens_that_stand(draft("well", "then.", "go-ing")) == 5


@pytest.mark.parametrize(("doubtful", "standing"), [(0, 0), (1, 1), (3, 3), (4, 3)])
def test_a_draft_stands_up_to_the_word_with_the_first_doubtful_token(doubtful: int, standing: int) -> None:
    assert tokens_that_stand(draft("well", "then.", "go-ing", doubtful=doubtful)) == standing


def test_a_word_stands_without_the_doubtful_mark_after_it() -> None:
    assert tokens_that_stand(draft("well", "then.", "go-ing", doubtful=2)) == 2


def test_more_stands_in_a_hurry() -> None:
    doubtful = DraftToken((LEAST_PROBABILITY_HURRIED + LEAST_PROBABILITY) / 2, begins_word=True, is_mark=False)
    assert tokens_that_stand([doubtful]) == 0
    assert tokens_that_stand([doubtful], hurried=True) == 1


def test_nothing_stands_of_nothing() -> None:
    assert tokens_that_stand([]) == 0


@given(st.lists(st.builds(DraftToken, st.floats(0, 1), st.booleans(), st.booleans()), max_size=12))
def test_no_doubtful_token_stands(tokens: list[DraftToken]) -> None:
    assert all(one.probability >= LEAST_PROBABILITY for one in tokens[: tokens_that_stand(tokens)])


def test_behind_a_draft_the_text_may_be_as_long_as_the_audio_and_the_script_need() -> None:
    english = tokens_after(10, 44, 2.0)

    assert tokens_after(10, 44, 0.0) < english < tokens_after(10, 44, 4.0)
    assert tokens_after(110, 44, 2.0) > 5 * english, "Georgian takes 2.5 tokens for a character"


def test_a_word_that_ends_the_draft_too_early_still_fits_behind_it() -> None:
    assert tokens_after(1, 5, 0.0) >= 8
