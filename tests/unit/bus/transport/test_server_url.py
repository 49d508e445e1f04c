import pytest

from bus.transport.server_url import parse_server_url


def test_name_and_password_are_taken_out_and_unquoted() -> None:
    url = parse_server_url("nats://a%20role:p%40ss@host:4222")
    assert url.servers == ("nats://host:4222",)
    assert (url.user, url.password) == ("a role", "p@ss")


def test_neither_shows_in_text() -> None:
    url = parse_server_url("nats://role:secret@host:4222, nats://other:4223")
    assert str(url) == "nats://host:4222, nats://other:4223"
    assert "secret" not in repr(url)


def test_a_bare_address_is_plain_nats() -> None:
    url = parse_server_url("host:4222")
    assert (url.servers, url.user, url.password) == (("nats://host:4222",), None, None)


def test_a_name_without_password_has_an_empty_one() -> None:
    assert parse_server_url("nats://token@host").password == ""


@pytest.mark.parametrize("bad", ["", "http://u:secret@host", "nats://", "nats://a:1,,nats://b:1"])
def test_anything_else_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(ValueError, match="must look like") as caught:
        parse_server_url(bad)
    assert "secret" not in str(caught.value)
