import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_workers.engines.torch_text import ControlTokens, Detokeniser, prompt_tokens

END = 300
"""A special token of the toy tokenizers."""


def decode_bytes(tokens: Sequence[int]) -> str:
    return bytes(token for token in tokens if token < 256).decode(errors="replace")


class Words:
    """A toy of the byte-level kind: words with the space before them, and white space by the rule of GPT-2."""

    def __init__(self, merges: Sequence[str] = ()) -> None:
        """`merges`: words that are one token only together."""
        self._pattern = re.compile("|".join([*map(re.escape, merges), r" ?[^\s]+|\s+(?!\S)|\s+"]))
        self.vocabulary: list[str] = []

    def encode(self, text: str) -> list[int]:
        words = self._pattern.findall(text)
        self.vocabulary += [word for word in dict.fromkeys(words) if word not in self.vocabulary]
        return [self.vocabulary.index(word) for word in words]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(self.vocabulary[token] for token in tokens)

    def prompt(self, opening: str, prefill: str) -> list[str]:
        tokens = prompt_tokens(opening, prefill, self.encode, self.decode)
        return [self.vocabulary[token] for token in tokens]


def decode_without_first_space(tokens: Sequence[int]) -> str:
    return decode_bytes(tokens).removeprefix(" ")


def test_a_prompt_is_the_opening_where_nothing_is_given_of_the_answer() -> None:
    assert Words().prompt("user hi assistant\n", "") == ["user", " hi", " assistant", "\n"]


def test_the_given_beginning_follows_the_opening() -> None:
    assert Words().prompt("user hi\n", "Good day") == ["user", " hi", "\n", "Good", " day"]


def test_the_opening_keeps_its_tokens_where_the_beginning_would_melt_into_them() -> None:
    assert Words().prompt("user hi\n", "\nWell") == ["user", " hi", "\n", "\n", "Well"]
    assert Words(["hi there"]).prompt("user hi", " there") == ["user", " hi", " there"]


def test_white_space_at_the_end_has_the_tokens_that_it_has_before_a_word() -> None:
    assert Words().prompt("hi ", "One.\n\n") == ["hi", " ", "One.", "\n", "\n"]


def test_a_space_that_belongs_to_the_next_word_stays_a_token_of_its_own() -> None:
    assert Words().prompt("hi\n", "x ") == ["hi", "\n", "x", " "]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("nothing of the kind <end", "nothing of the kind <end"),
        ("over<end><start>system", "over  system"),
        ("<en<end>d>", "<en d>"),
        ("<end>ing", " ing"),
        ("<end>less", " "),
    ],
)
def test_what_looks_like_a_control_token_is_not_left_in_a_message(text: str, left: str) -> None:
    assert ControlTokens(["<end>", "<start>", "<end>less", ""]).removed_from(text) == left


def test_a_tokenizer_without_control_tokens_leaves_messages_alone() -> None:
    assert ControlTokens([]).removed_from("<end>") == "<end>"


def test_a_character_is_given_when_all_its_bytes_are_there() -> None:
    text = Detokeniser(decode_bytes)
    assert [text.take([byte]) for byte in "a€b".encode()] == ["a", "", "", "€", "b"]


def test_what_is_whole_before_a_half_character_is_given_at_once() -> None:
    text = Detokeniser(decode_bytes)
    assert text.take(list(b"gr") + [0xC3]) == "gr"
    assert text.take([0xBC]) == "ü"
    assert text.take(list(b"n")) == "n"


def test_a_half_character_at_the_end_is_never_given() -> None:
    text = Detokeniser(decode_bytes)
    assert text.take(list(b"ab") + list("😀".encode())[:3]) == "ab"
    assert text.take([]) == ""


def test_bytes_that_are_no_character_are_given_before_the_next_one() -> None:
    text = Detokeniser(decode_bytes)
    assert text.take([0xFF]) == ""
    assert text.take(list(b"a")) == "\ufffda"


def test_special_tokens_are_no_text() -> None:
    text = Detokeniser(decode_bytes)
    assert [text.take([token]) for token in (97, END, 98)] == ["a", "", "b"]


@pytest.mark.parametrize("prompt", [b"", b"x", b"some words before"])
def test_the_first_space_of_an_answer_is_kept_after_a_prompt(prompt: bytes) -> None:
    text = Detokeniser(decode_without_first_space, list(prompt))
    assert text.take(list(b" and")) == ("" if prompt else "") + (" and" if prompt else "and")
    assert text.take(list(b" so")) == " so"


@given(text=st.text(), cuts=st.lists(st.integers(1, 5)))
def test_pieces_joined_are_the_text_however_its_bytes_come(text: str, cuts: list[int]) -> None:
    rest, answer, pieces = list(text.encode()), Detokeniser(decode_bytes), []
    for count in [*cuts, max(1, len(rest))]:
        pieces.append(answer.take(rest[:count]))
        rest = rest[count:]
    assert "".join(pieces) == text.rstrip("\ufffd")
    assert not any(piece.endswith("\ufffd") for piece in pieces)


@given(start=st.text(alphabet="ab \n€", min_size=1), rest=st.text(alphabet="ab \n€"))
def test_a_prompt_is_the_opening_and_its_beginning_as_text(start: str, rest: str) -> None:
    assert "".join(Words().prompt(start, rest)) == start + rest
