import pytest

from bus.contract.identifiers import check_identifier, is_identifier


@pytest.mark.parametrize("text", ["a", "A-z_0", "x" * 64])
def test_letters_digits_dash_and_underscore_make_an_identifier(text: str) -> None:
    assert is_identifier(text)
    assert check_identifier(text, "tenant") == text


@pytest.mark.parametrize("text", ["", "x" * 65, "a.b", "a\n", "ä", "a b"])
def test_anything_else_does_not_and_is_not_shown(text: str) -> None:
    assert not is_identifier(text)
    with pytest.raises(ValueError) as caught:
        check_identifier(text, "tenant")
    assert str(caught.value) == "tenant must be 1 to 64 characters of A-Z a-z 0-9 _ -"
