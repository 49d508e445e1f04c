import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.policy.endpoint import Ending, EndpointOptions, ending_of, endpoint_wait_s

ADAPTIVE = EndpointOptions(mode="adaptive")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("It works.", "en"),
        ("Does it?", "en"),
        ("It does!", "en"),
        ('He said "it does."', "en"),
        ("(It does.) ", "en"),
        ("It was on.", "en"),
        ("Ich rufe dich an.", "de"),
        ("他来了。", "zh"),
        ("来ますか？", "ja"),
        ("「来ます。」", "ja"),
        ("वह आया।", "hi"),
        ("هل جاء؟", "ar"),
    ],
)
def test_a_sentence_end_is_seen(text: str, language: str) -> None:
    assert ending_of(text, language) == "sentence"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("and then,", "en"),
        ("and then -", "en"),
        ("and then —", "en"),
        ("and then:", "en"),
        ("and then...", "en"),
        ("and then…", "en"),
        ("and then..", "en"),
        ("and then", "en"),
        ("room 12", "en"),
        ("и потом", "ru"),
        ("然后，", "zh"),
        ("so I met Mr.", "en"),
        ('so I met "Dr.', "en"),
        ("many things, e.g.", "en"),
        ("It was the.", "en"),
        ("And.", "en"),
        ("I came because.", "en"),
    ],
)
def test_a_phrase_that_goes_on_is_seen(text: str, language: str) -> None:
    assert ending_of(text, language) == "phrase"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ('" ', "en"),
        ("First 3.", "en"),
        ("3.", "en"),
        ("by J.", "en"),
        (".", "en"),
        ("in the U.S.", "en"),
        ("cats, dogs, etc.", "en"),
        ("然后他来了", "zh"),
        ("그가 왔다", "ko"),
        ("เขามา", "th"),
        ("और फिर", "hi"),
        ("♪", "en"),
    ],
)
def test_what_cannot_be_told_is_left_open(text: str, language: str) -> None:
    assert ending_of(text, language) == "unsure"


def test_a_word_that_ends_no_english_sentence_may_end_another() -> None:
    assert ending_of("Voilà de l'or.", "fr") == "sentence"


@pytest.mark.parametrize(("text", "wait_s"), [("It works.", 0.3), ("and then", 0.8), ("", 0.5), ("3.", 0.5)], ids=repr)
def test_the_wait_is_the_sessions_own_times_a_factor(text: str, wait_s: float) -> None:
    assert endpoint_wait_s(text, language="en", base_s=0.5, options=ADAPTIVE) == pytest.approx(wait_s)


def test_a_fixed_wait_is_always_the_sessions_own() -> None:
    for text in ("It works.", "and then", ""):
        assert endpoint_wait_s(text, language="en", base_s=0.7, options=EndpointOptions()) == 0.7


def test_a_phrase_waits_no_longer_than_the_longest_endpoint_and_no_shorter_than_its_own() -> None:
    assert endpoint_wait_s("and", language="en", base_s=4.0, options=ADAPTIVE) == 5.0
    short = EndpointOptions(mode="adaptive", max_s=1.0)
    assert endpoint_wait_s("and", language="en", base_s=2.0, options=short) == 2.0


@given(st.text(max_size=30), st.sampled_from(["en", "de", None]), st.floats(0.2, 5.0))
def test_any_text_has_an_ending_and_a_bounded_wait(text: str, language: str | None, base_s: float) -> None:
    ending: Ending = ending_of(text, language)
    assert ending in ("sentence", "phrase", "unsure")
    assert 0.6 * base_s <= endpoint_wait_s(text, language=language, base_s=base_s, options=ADAPTIVE) <= 5.0
