import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contract.errors import InvalidMessage
from stream_gateway.policy.subprotocols import echoed, offered_key, parse_offer

NAMES = st.lists(
    st.sampled_from(["realtime", "token", "Bearer", "bearer", "openai-beta.realtime-v1", "openai-insecure-api-key."])
    | st.text(string.ascii_letters + string.digits + "-._~", min_size=1)
    | st.text(string.ascii_letters, min_size=1).map(lambda key: f"openai-insecure-api-key.{key}")
    | st.just("openai-insecure-api-key.realtime")
)


def test_names_come_in_one_header_or_several() -> None:
    assert parse_offer(["realtime, openai-insecure-api-key.k", "token,\tk ,"]) == (
        "realtime",
        "openai-insecure-api-key.k",
        "token",
        "k",
    )
    assert parse_offer([]) == ()


@pytest.mark.parametrize("value", ["", " ", ",", "a b", "token, se/cret", "token, sécret", 'token, "secret"'])
def test_what_is_no_list_of_names_is_refused_and_not_quoted(value: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        parse_offer(["realtime", value])
    assert "cret" not in refusal.value.message


@pytest.mark.parametrize(
    ("names", "key", "echo"),
    [
        ("realtime, openai-insecure-api-key.k", "k", "realtime"),
        ("openai-insecure-api-key.k, realtime, openai-beta.realtime-v1", "k", "realtime"),
        ("realtime, openai-insecure-api-key.a.b, openai-beta.realtime-v1", "a.b", "realtime"),
        ("openai-beta.realtime-v1, openai-insecure-api-key.k", "k", None),
        ("token, k", "k", "token"),
        ("bearer, k", "k", "bearer"),
        ("Bearer, k", "k", "Bearer"),
        ("realtime, token, k", "k", "realtime"),
        ("token, openai-insecure-api-key.k", "k", "token"),
        ("token, bearer", "bearer", "token"),
        ("token, token", "token", None),
        ("realtime", None, "realtime"),
        ("token", None, "token"),
        ("k, bearer", None, "bearer"),
        ("chat, superchat", None, None),
        ("openai-insecure-api-key.", None, None),
        ("openai-insecure-api-key., token, k", "k", "token"),
    ],
)
def test_the_key_and_the_answer_are_found_among_the_names(names: str, key: str | None, echo: str | None) -> None:
    offer = parse_offer([names])
    assert (offered_key(offer), echoed(offer)) == (key, echo)


def test_nothing_offered_is_nothing_found() -> None:
    assert offered_key(()) is None
    assert echoed(()) is None


@given(names=NAMES)
def test_what_is_sent_back_was_offered_and_is_not_the_key(names: list[str]) -> None:
    echo, key = echoed(names), offered_key(names)
    if echo is not None:
        assert echo in names
        assert echo != key
        assert echo.lower() in ("realtime", "token", "bearer")


@given(names=NAMES, key=st.text(string.ascii_letters + string.digits, min_size=20))
def test_a_key_in_front_is_always_found(names: list[str], key: str) -> None:
    assert offered_key([f"openai-insecure-api-key.{key}", *names]) == key


@given(values=st.lists(st.binary().map(lambda raw: raw.decode("iso-8859-1"))))
def test_any_bytes_are_names_or_refused(values: list[str]) -> None:
    try:
        names = parse_offer(values)
    except InvalidMessage:
        return
    assert len(names) >= len(values)
    assert all(name.isascii() and " " not in name for name in names)
