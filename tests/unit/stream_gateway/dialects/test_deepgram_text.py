import pytest

from bus.contract.work import Word
from stream_gateway.dialects.deepgram_text import alternative, bare


@pytest.mark.parametrize(
    ("token", "spoken"),
    [
        ("Hello,", "hello"),
        ("«Ça", "ça"),
        ("don't", "don't"),
        ("3.5%", "3.5"),
        ("e-mail!", "e-mail"),
        ("...", ""),
        ("你好，世界。", "你好，世界"),
    ],
)
def test_a_bare_word_keeps_what_stands_within_it(token: str, spoken: str) -> None:
    assert bare(token) == spoken


def test_confidence_is_the_mean_of_all_words() -> None:
    words = (Word("One", 0.0, 0.5, 0.9), Word("two.", 0.5, 1.0, 0.6))
    assert alternative("One two.", words, punctuate=True, not_before_s=0.0).confidence == 0.75
