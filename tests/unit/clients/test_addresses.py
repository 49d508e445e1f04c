import pytest

from clients.addresses import is_loopback, split_addresses, stream_url, without_secrets
from clients.failures import CannotConnect


@pytest.mark.parametrize(
    ("urls", "addresses"),
    [
        ("ws://a:1", ("ws://a:1",)),
        (" ws://a:1 , wss://b/v1/stream,http://c,", ("ws://a:1", "wss://b/v1/stream", "http://c")),
        ("ws://a/?token=x,y", ("ws://a/?token=x,y",)),
        (["ws://a", "ws://b,ws://c"], ("ws://a", "ws://b", "ws://c")),
        ([], ("",)),
        ("", ("",)),
    ],
)
def test_several_addresses_may_stand_in_one_text_or_in_several(
    urls: str | list[str], addresses: tuple[str, ...]
) -> None:
    assert split_addresses(urls) == addresses


def test_an_address_is_completed_and_user_and_query_are_kept() -> None:
    assert stream_url("https://u:p@h:1/?token=t") == "wss://u:p@h:1/v1/stream?token=t"
    assert stream_url("ws://h/elsewhere") == "ws://h/elsewhere"


def test_a_resume_is_announced_beside_what_the_query_holds() -> None:
    assert stream_url("ws://h", resumes=True) == "ws://h/v1/stream?resume=1"
    assert stream_url("ws://h/?token=t", resumes=True) == "ws://h/v1/stream?token=t&resume=1"


@pytest.mark.parametrize("url", ["", "h:1", "ftp://h", "ws://", "ws://h:0", "ws://h:x", "ws://user@h"])
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(CannotConnect, match="such as ws://"):
        stream_url(url)


def test_secrets_are_not_shown() -> None:
    assert without_secrets("wss://u:p@h:1/v1/stream?token=t") == "wss://h:1/v1/stream"


@pytest.mark.parametrize(
    ("url", "is_here"), [("ws://127.0.0.1:1", True), ("ws://[::1]", True), ("ws://localhost", True), ("ws://h", False)]
)
def test_this_machine_is_known(url: str, is_here: bool) -> None:
    assert is_loopback(url) is is_here
