import pytest

from stream_gateway.session.languages import LANGUAGES, SpokenLanguage


def test_whisper_knows_a_hundred_languages() -> None:
    assert len(LANGUAGES) == 100


def test_a_requested_language_is_never_changed() -> None:
    language = SpokenLanguage("de")
    language.on_final("en", 0.99, "hello")
    assert language.current == "de"


def test_the_first_sure_final_with_words_decides_for_the_session() -> None:
    language = SpokenLanguage(None)
    language.on_final("fr", 0.5, "bonjour")
    language.on_final("en", 0.99, "hello")
    assert language.current == "fr"


@pytest.mark.parametrize(("probability", "text"), [(0.49, "hello"), (0.99, "")])
def test_an_unsure_or_empty_final_decides_nothing(probability: float, text: str) -> None:
    language = SpokenLanguage(None)
    language.on_final("en", probability, text)
    assert language.current is None


def test_another_request_counts_from_then_on_and_the_same_one_changes_nothing() -> None:
    language = SpokenLanguage(None)
    language.on_final("fr", 0.9, "bonjour")
    language.request(None)
    assert language.current == "fr"
    language.request("de")
    assert language.current == "de"
    language.request(None)
    assert language.current is None
