import pytest

from bus.runtime.exposure import check_anonymous, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost", "LocalHost"])
def test_only_this_machine_reaches_what_listens_on_loopback(host: str) -> None:
    assert is_loopback(host)
    check_anonymous(host, has_keys=False, is_allowed=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "harken.example", "localhost.example"])
def test_everything_else_may_be_reached_from_elsewhere_and_asks_for_keys_or_a_word(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ValueError, match="HARKEN_GATEWAY_API_KEYS=tenant=key.*--allow-anonymous"):
        check_anonymous(host, has_keys=False, is_allowed=False)
    check_anonymous(host, has_keys=True, is_allowed=False)
    check_anonymous(host, has_keys=False, is_allowed=True)
