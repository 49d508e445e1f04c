from dataclasses import replace

import pytest

from asr_workers.windows.guards import (
    Attempt,
    Guards,
    Stage,
    compression_ratio,
    echoes,
    has_words,
    is_noise,
    is_repetitive,
    is_satisfying,
    judge,
    repeats_itself,
    settle,
    token_ceiling,
)
from tests.unit.asr_workers.windows.sentences import SENTENCES, phrase

GUARDS = Guards()


def attempt(
    stage: Stage = "short_context",
    *,
    tokens: int = 20,
    cut: bool = False,
    words: bool = True,
    ratio: float = 1.2,
    log_probability: float = -0.2,
    no_speech: float = 0.05,
) -> Attempt:
    return Attempt(
        stage=stage,
        tokens=tokens,
        cut=cut,
        has_words=words,
        compression_ratio=ratio,
        average_log_probability=log_probability,
        no_speech_probability=no_speech,
    )


LOOP = attempt(ratio=9.0)
UNSURE = attempt(log_probability=-1.4)
MAYBE_NOISE = attempt(log_probability=-1.2, no_speech=0.4)
SURELY_NOISE = attempt(log_probability=-0.9, no_speech=0.76)


def test_clear_speech_is_accepted() -> None:
    assert judge(attempt(), "final", GUARDS) == "accept"
    assert judge(attempt(), "partial", GUARDS) == "accept"


def test_what_goes_on_after_known_text_is_accepted_if_nothing_about_it_is_in_doubt() -> None:
    assert judge(attempt("after_known"), "final", GUARDS) == "accept"


@pytest.mark.parametrize(
    "doubtful",
    [
        attempt("after_known", ratio=2.1),
        attempt("after_known", log_probability=-0.6),
        attempt("after_known", cut=True),
        attempt("after_known", words=False),
        replace(attempt("after_known"), echoes=True),
        attempt("after_known", log_probability=-0.4, no_speech=0.9),
        attempt("after_known", tokens=0, words=False),
    ],
)
def test_what_goes_on_after_known_text_and_is_doubtful_is_decoded_alone(doubtful: Attempt) -> None:
    assert judge(doubtful, "final", GUARDS) == "alone"


@pytest.mark.parametrize(
    ("text", "prior"),
    [
        ("And then he left.", "Well, and then he left"),
        ("Mr. John left us", "and Mr. John left early"),
        ("你好吗", "今天你好"),
        ("yes", "Yes."),
    ],
)
def test_a_text_of_which_half_was_said_right_before_is_an_echo(text: str, prior: str) -> None:
    assert echoes(text, prior)


@pytest.mark.parametrize(("text", "prior"), [("and then we came home", "And then he left."), ("...", "..."), ("", "a")])
def test_a_text_that_shares_less_with_the_one_before_is_none(text: str, prior: str) -> None:
    assert not echoes(text, prior)


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("We went to the river. We went to the river.", True),
        ("we went down to the river and then we went down to the", True),
        ("We walked along the river, and they drove to the sea.", False),
        ("No, no, no, no.", False),
        ("", False),
    ],
)
def test_a_text_whose_second_half_is_its_first_repeats_itself(text: str, repeats: bool) -> None:
    assert repeats_itself(text) is repeats


def test_no_text_is_accepted_as_it_is() -> None:
    assert judge(attempt(tokens=0, words=False, no_speech=0.9, log_probability=-3), "final", GUARDS) == "accept"


@pytest.mark.parametrize("failing", [LOOP, UNSURE, MAYBE_NOISE])
def test_a_final_that_fails_is_decoded_again_with_the_full_context(failing: Attempt) -> None:
    assert judge(failing, "final", GUARDS) == "full_context"


def test_a_final_that_fails_there_too_is_sampled() -> None:
    assert judge(attempt("full_context", ratio=9.0), "final", GUARDS) == "temperature"
    assert judge(attempt("full_context", log_probability=-1.4), "final", GUARDS) == "temperature"


def test_text_over_noise_is_dropped_after_the_full_context_confirms_it() -> None:
    confirmed = attempt("full_context", log_probability=-1.2, no_speech=0.4)
    assert judge(confirmed, "final", GUARDS) == "no_speech"


def test_text_over_what_is_surely_silence_is_dropped_without_a_second_decode() -> None:
    assert judge(SURELY_NOISE, "final", GUARDS) == "no_speech"


def test_punctuation_alone_is_no_text() -> None:
    assert judge(attempt(tokens=1, words=False), "final", GUARDS) == "no_speech"


@pytest.mark.parametrize(
    ("failing", "verdict"),
    [(LOOP, "repetition"), (MAYBE_NOISE, "no_speech"), (SURELY_NOISE, "no_speech"), (UNSURE, "accept")],
)
def test_a_partial_is_never_decoded_again(failing: Attempt, verdict: str) -> None:
    assert judge(failing, "partial", GUARDS) == verdict


def test_a_final_that_is_cut_goes_on_to_the_full_context_and_is_no_loop() -> None:
    assert not is_repetitive(attempt(cut=True), GUARDS)
    assert judge(attempt(cut=True), "final", GUARDS) == "full_context"


def test_a_final_that_is_cut_there_too_is_accepted_as_far_as_it_goes() -> None:
    assert judge(attempt("full_context", cut=True, tokens=224), "final", GUARDS) == "accept"


def test_a_partial_that_is_cut_shows_the_beginning() -> None:
    assert judge(attempt(cut=True), "partial", GUARDS) == "accept"


def test_the_ceiling_grows_with_the_window() -> None:
    assert [token_ceiling(seconds, GUARDS) for seconds in (0.0, 1.0, 2.55)] == [12, 24, 42]


@pytest.mark.parametrize(
    ("no_speech", "log_probability", "noise"),
    [
        (0.68, -0.19, False),  # read digits
        (0.57, -0.23, False),  # a hoarse voice
        (0.22, -1.45, False),  # mumbled, and yet speech
        (0.42, -0.46, False),
        (0.41, -0.68, False),  # a single word
        (0.35, -0.84, True),  # voices too far away to be understood
        (0.29, -1.37, True),  # an orchestra
        (0.41, -0.98, True),  # a kitchen
        (0.76, -0.92, True),  # digital silence
        (0.88, -1.67, True),  # birds
    ],
)
def test_speech_and_noise_part_at_the_measured_line(no_speech: float, log_probability: float, noise: bool) -> None:
    assert is_noise(attempt(no_speech=no_speech, log_probability=log_probability), GUARDS) is noise


def test_sampling_stops_at_the_first_satisfying_text() -> None:
    assert is_satisfying(attempt("temperature"), GUARDS)
    assert not is_satisfying(attempt("temperature", ratio=5.0), GUARDS)
    assert not is_satisfying(attempt("temperature", log_probability=-1.1), GUARDS)


def test_the_surest_text_without_a_loop_is_kept() -> None:
    loop = attempt("full_context", ratio=9.0, log_probability=-0.1)
    weak, better = attempt("temperature", log_probability=-1.3), attempt("temperature", log_probability=-1.1)
    assert settle([loop, weak, better], GUARDS) == (2, "accept")


def test_a_window_that_always_loops_has_no_text() -> None:
    assert settle([LOOP, LOOP], GUARDS) == (1, "repetition")


@pytest.mark.parametrize(
    "best", [attempt("temperature", words=False), attempt("temperature", no_speech=0.7, log_probability=-1.1)]
)
def test_a_best_text_that_is_noise_is_dropped(best: Attempt) -> None:
    assert settle([LOOP, best], GUARDS) == (1, "no_speech")


def test_loops_compress_and_prose_does_not() -> None:
    assert compression_ratio("I'm sorry, " * 40) > 5
    assert compression_ratio("The speed dial entry you have accessed is empty.") < 1.5
    assert compression_ratio("") == 0
    assert compression_ratio("", cut=True) == 0


@pytest.mark.parametrize("language", sorted(SENTENCES))
def test_prose_of_any_script_is_no_loop(language: str) -> None:
    sentence = SENTENCES[language]
    assert compression_ratio(sentence) < 1.5
    for length in range(8, len(sentence) + 1):
        assert compression_ratio(sentence[:length], cut=True) < 1.55


@pytest.mark.parametrize("language", sorted(SENTENCES))
def test_loops_of_any_script_compress(language: str) -> None:
    loop = phrase(language) * 10
    assert compression_ratio(loop) > GUARDS.max_compression_ratio
    assert compression_ratio(loop, cut=True) > GUARDS.max_compression_ratio


def test_few_characters_are_a_loop_only_if_they_fill_the_ceiling() -> None:
    loop = "这对中法结合的终于终于终于终于终于终于终于终于终于终"  # 36 tokens for 2 s
    assert compression_ratio(loop) < 1.5
    assert compression_ratio(loop, cut=True) > GUARDS.max_compression_ratio
    assert compression_ratio("No, no, no, no, no!") < GUARDS.max_compression_ratio


def test_words_are_letters_or_digits_of_any_script() -> None:
    assert has_words("7")
    assert has_words(" 東")
    assert not has_words(" ... !")
