from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contract.errors import Unauthorized
from stream_gateway.policy.keys import DEFAULT_TENANT, parse_keys, presented_key, tenant_for

TENANTS = {"k1": "acme", "k2": "globex", "k3": "acme"}


def test_pairs_become_a_table_of_tenants_by_key() -> None:
    assert parse_keys(("acme=k1", "globex=k2", "acme=k3")) == TENANTS


def test_a_key_may_hold_an_equals_sign() -> None:
    assert parse_keys(("acme=a=b=",)) == {"a=b=": "acme"}


@pytest.mark.parametrize("pair", ["secret", "acme=", "=", "two words=secret", "=secret"])
def test_a_malformed_pair_is_refused_by_position_and_never_quoted(pair: str) -> None:
    with pytest.raises(ValueError, match="2") as refusal:
        parse_keys(("acme=k1", pair))
    assert "secret" not in str(refusal.value)


def test_a_key_given_twice_is_refused_because_it_would_have_two_tenants() -> None:
    with pytest.raises(ValueError, match="API key 2"):
        parse_keys(("acme=k1", "globex=k1"))


@pytest.mark.parametrize(
    ("path", "authorization", "key"),
    [
        ("/v1/stream", "Bearer k1", "k1"),
        ("/v1/stream", "bearer   k1 ", "k1"),
        ("/v1/stream", "Token k1", "k1"),
        ("/v1/listen", "TOKEN k1", "k1"),
        ("/v1/stream?token=k2", None, "k2"),
        ("/v1/stream?token=k2", "Bearer k1", "k1"),
        ("/v1/stream?token=k2", "Basic abc", "k2"),
        ("/v1/stream?token=k2", "Bearer ", "k2"),
        ("/v1/stream?x=1&token=a%20b", None, "a b"),
        ("/?token=k2", None, "k2"),
        ("/whisperlive?token=k2", None, "k2"),
        ("/v1/stream", None, None),
        ("/v1/stream", "Bearer", None),
        ("/v1/stream?token=", None, None),
        ("//[?token=k2", None, "k2"),
    ],
)
def test_a_key_is_read_from_the_header_first_and_last_from_the_query(
    path: str, authorization: str | None, key: str | None
) -> None:
    assert presented_key(path, authorization=authorization) == key


def test_of_several_keys_the_first_source_counts() -> None:
    sources: list[dict[str, Any]] = [
        {"authorization": "Bearer k1"},
        {"api_key": " k2 "},
        {"subprotocols": ("realtime", "openai-insecure-api-key.k3")},
        {"path": "/v1/realtime?token=k4"},
    ]
    for number in range(4):
        given = {name: value for source in sources[number:] for name, value in source.items()}
        assert presented_key(given.pop("path"), **given) == f"k{number + 1}"


def test_an_empty_header_is_none() -> None:
    assert presented_key("/?token=k", authorization="", api_key="  ", subprotocols=("token",)) == "k"


@pytest.mark.parametrize("header", ["authorization", "api_key"])
def test_a_key_beyond_ascii_is_known_in_a_header_too(header: str) -> None:
    on_the_wire = "ключ".encode().decode("iso-8859-1")
    value = f"Bearer {on_the_wire}" if header == "authorization" else on_the_wire
    assert tenant_for(presented_key("/", **{header: value}), {"ключ": "acme"}) == "acme"


_HEADER = st.binary().map(lambda raw: raw.decode("iso-8859-1"))


@given(
    path=st.text(st.characters(max_codepoint=127)),
    authorization=st.none() | _HEADER | _HEADER.map(lambda rest: f"Bearer {rest}"),
    api_key=st.none() | _HEADER,
    names=st.lists(st.sampled_from(["token", "bearer", "realtime", "openai-insecure-api-key.", "x"])),
)
def test_whatever_comes_no_stranger_gets_in_and_nothing_breaks(
    path: str, authorization: str | None, api_key: str | None, names: list[str]
) -> None:
    key = presented_key(path, authorization=authorization, api_key=api_key, subprotocols=names)
    with pytest.raises(Unauthorized):
        tenant_for(key, {"a key that is longer than any here" * 10: "acme"})


@given(key=st.text(min_size=1).filter(lambda key: key == key.strip() and "\x00" not in key))
def test_whoever_has_a_key_gets_in_by_each_way_that_can_hold_it(key: str) -> None:
    in_a_header = key.encode().decode("iso-8859-1")
    if in_a_header == in_a_header.strip():  # what looks like a space in ISO-8859-1 is lost at the ends
        assert presented_key("/", authorization=f"token {in_a_header}") == key
        assert presented_key("/", api_key=in_a_header) == key
    assert presented_key(f"/?token={quote(key, safe='')}") == key


def test_without_keys_everyone_is_the_default_tenant() -> None:
    assert tenant_for(None, {}) == DEFAULT_TENANT
    assert tenant_for("anything", {}) == DEFAULT_TENANT


@pytest.mark.parametrize(("key", "tenant"), list(TENANTS.items()))
def test_a_known_key_names_its_tenant(key: str, tenant: str) -> None:
    assert tenant_for(key, TENANTS) == tenant


@pytest.mark.parametrize("key", [None, "", "k", "k11", "K1", "\udcff", "ключ"])
def test_any_other_key_is_unauthorized_and_not_quoted(key: str | None) -> None:
    with pytest.raises(Unauthorized) as refusal:
        tenant_for(key, TENANTS)
    assert "k1" not in refusal.value.message
