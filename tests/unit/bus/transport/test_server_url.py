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


def test_each_server_may_repeat_the_login_of_the_first() -> None:
    url = parse_server_url("nats://role:secret@one:4222, role:secret@two:4222, three:4222")
    assert url.servers == ("nats://one:4222", "nats://two:4222", "nats://three:4222")
    assert url.password == "secret"


def test_what_is_no_part_of_an_address_may_stand_in_a_password_or_be_empty() -> None:
    assert parse_server_url("nats://role:a b@c%2F%3F%23%2C@host:4222/").password == "a b@c/?#,"


def test_an_ipv6_address_keeps_its_brackets() -> None:
    assert parse_server_url("nats://[::1]:4222").servers == ("nats://[::1]:4222",)


@pytest.mark.parametrize(
    "url",
    [
        "nats://svc:s3c/ret@nats:4222",
        "nats://svc:s3c?ret@nats:4222",
        "nats://svc:s3c#ret@nats:4222",
        "nats://svc:s3c,ret@nats:4222",
        "nats://svc:123/ret@nats:4222",
        "nats://svc:123,ret@nats:4222",
        "nats://svc:1,2,3@nats:4222",
        "nats://svc:right@one:4222,nats://svc:123,ret@two:4222",
        "nats://svc:p@123,ret@nats:4222",
        "nats://[s3c]@nats:4222",
        "nats://svc:s3c\u2100ret@nats:4222",
        "svc:s3c//ret@nats:4222",
    ],
)
def test_a_password_that_is_not_percent_encoded_is_refused_and_no_piece_of_it_shown(url: str) -> None:
    with pytest.raises(ValueError, match="percent-encode the password") as caught:
        parse_server_url(url)
    assert not any(piece in str(caught.value) for piece in ("s3c", "ret", "123", "svc"))
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "http://u:secret@host",
        "nats://",
        "nats://a:1,,nats://b:1",
        "nats://host:port",
        "nats://host:70000",
        "nats://host:0",
        "nats://host/?tls",
        "nats://u:secret@[::1",
    ],
)
def test_anything_else_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(ValueError, match="must look like") as caught:
        parse_server_url(bad)
    assert "secret" not in str(caught.value)
