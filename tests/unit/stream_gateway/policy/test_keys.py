import pytest

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
        ("/v1/stream?token=k2", None, "k2"),
        ("/v1/stream?token=k2", "Bearer k1", "k1"),
        ("/v1/stream?token=k2", "Basic abc", "k2"),
        ("/v1/stream?token=k2", "Bearer ", "k2"),
        ("/v1/stream?x=1&token=a%20b", None, "a b"),
        ("/v1/stream", None, None),
        ("/v1/stream", "Bearer", None),
        ("/v1/stream?token=", None, None),
        ("//[?token=k2", None, "k2"),
    ],
)
def test_a_key_is_read_from_the_header_first_and_then_from_the_query(
    path: str, authorization: str | None, key: str | None
) -> None:
    assert presented_key(path, authorization) == key


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
