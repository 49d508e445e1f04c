"""The guards' figures as `Hearing` puts them together; model calls and tokens are stand-ins, a token is a word."""

from collections.abc import Sequence
from typing import cast

import numpy as np

from asr_workers.batch.plan import Group
from asr_workers.engines.base import Prepared, Window
from asr_workers.engines.encoder_output import Encoded
from asr_workers.engines.whisper_calls import Generated, WhisperCalls
from asr_workers.engines.whisper_hearing import Hearing, Take
from asr_workers.engines.whisper_tokens import WhisperTokens
from asr_workers.windows.guards import Guards, judge
from bus.contract.work import SAMPLE_RATE_HZ, Task

PRIOR = "Nobody was at home."


class Words:
    """Tokens of a text: its words, numbered as they come."""

    def __init__(self) -> None:
        self._known: list[str] = []

    def tokens(self, text: str, *, spaced: bool = True) -> list[int]:
        for word in text.split():
            if word not in self._known:
                self._known.append(word)
        return [self._known.index(word) for word in text.split()]

    def text(self, tokens: Sequence[int]) -> str:
        return " ".join(self._known[token] for token in tokens)

    def prompt(self, prefix: Sequence[int], task: Task, language: str, known: Sequence[int] = ()) -> list[int]:
        return [*prefix, *known]

    def without_leading_marks(self, tokens: Sequence[int]) -> list[int]:
        return list(tokens)


class Calls:
    """A model that hears the same text in everything, and is sure of it."""

    multilingual = False
    batched = False

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens

    def encode(self, padded: Sequence[object]) -> list[Encoded]:
        return [cast("Encoded", None)] * len(padded)

    def generate(self, encoded: Sequence[Encoded], prompts: Sequence[list[int]], **_: object) -> list[Generated]:
        return [Generated(self._tokens, -0.1, 0.0, False)] * len(prompts)


def hear(text: str, *, prior: str = "") -> Take:
    words = Words()
    hearing = Hearing(
        cast("WhisperCalls", Calls(words.tokens(text))),
        cast("WhisperTokens", words),
        Guards(),
        beam_size=5,
        prefills=True,
    )
    window = Window(kind="final", pcm=bytes(2 * 10 * SAMPLE_RATE_HZ), start_sample=0, language="en", prior_text=prior)
    prepared = Prepared(
        window=window,
        group=Group(15, 0),
        features=np.zeros((80, 10), dtype=np.float32),
        prior=tuple(words.tokens(prior)),
    )
    (heard,) = hearing.hear([prepared])
    return heard.take


def test_a_text_after_known_text_that_says_its_own_beginning_again_is_decoded_alone() -> None:
    take = hear("so we walked all the way home so we walked all the way home", prior=PRIOR)
    assert judge(take.attempt, "final", Guards()) == "alone"


def test_a_text_after_known_text_that_says_that_again_is_decoded_alone() -> None:
    assert judge(hear("nobody was at home.", prior=PRIOR).attempt, "final", Guards()) == "alone"


def test_a_text_that_goes_on_after_known_text_is_taken() -> None:
    take = hear("so we walked all the way back to the station", prior=PRIOR)
    assert (take.text, judge(take.attempt, "final", Guards())) == (
        "so we walked all the way back to the station", "accept",
    )  # fmt: skip


def test_a_text_with_nothing_known_before_it_may_repeat_itself() -> None:
    take = hear("so we walked all the way home so we walked all the way home")
    assert judge(take.attempt, "final", Guards()) == "accept"
