from pathlib import Path

import pytest

from bus.transport.server_config import ClusterOptions, ServerOptions, render_config


def test_a_plain_server_is_on_loopback_and_has_no_accounts() -> None:
    text = render_config(ServerOptions(store_dir=Path("/data")))
    assert 'listen: "127.0.0.1:-1"' in text
    assert 'store_dir: "/data"' in text
    assert "accounts" not in text and "http:" not in text and "ports_file_dir" not in text


def test_acknowledgements_that_the_client_cannot_parse_are_off() -> None:
    assert "js_ack_fc_v2: false" in render_config(ServerOptions(store_dir=Path("/data")))


def test_paths_and_passwords_are_quoted() -> None:
    options = ServerOptions(
        store_dir=Path('/da"ta'), ports_file_dir=Path("/p"), monitor_port=8222, credentials={"admin": 'pa"ss\\word'}
    )
    text = render_config(options)
    assert r'store_dir: "/da\"ta"' in text
    assert r'password: "pa\"ss\\word"' in text
    assert 'http: "127.0.0.1:8222"' in text
    assert 'ports_file_dir: "/p"' in text


@pytest.mark.parametrize(
    ("host", "listen"), [("::1", "[::1]:4222"), ("[::1]", "[::1]:4222"), ("localhost", "localhost:4222")]
)
def test_an_ipv6_address_stands_in_brackets_before_its_port(host: str, listen: str) -> None:
    text = render_config(ServerOptions(store_dir=Path("/data"), host=host, port=4222, monitor_port=4222))
    assert f'listen: "{listen}"' in text
    assert f'http: "{listen}"' in text


def test_each_role_gets_its_permissions() -> None:
    text = render_config(ServerOptions(store_dir=Path("/data"), credentials={"admin": "a", "reader_t1": "b"}))
    admin, reader = (line for line in text.splitlines() if "user:" in line)
    assert "permissions" not in admin
    assert 'subscribe: { allow: ["live.t1.>", "_INBOX_app_t1.>"] }' in reader


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ValueError, match="role must be"):
        render_config(ServerOptions(store_dir=Path("/data"), credentials={"nobody": "x"}))


def test_a_server_of_a_cluster_has_a_name_of_its_own_and_knows_the_others() -> None:
    cluster = ClusterOptions(port=6222, routes=("nats://127.0.0.1:6223", "nats://127.0.0.1:6224"))
    text = render_config(ServerOptions(store_dir=Path("/data"), name="n1", cluster=cluster))
    assert 'server_name: "n1"' in text
    assert 'listen: "127.0.0.1:6222"' in text
    assert 'routes: ["nats://127.0.0.1:6223", "nats://127.0.0.1:6224"]' in text
    assert "no_advertise: false" in text
    alone = render_config(ServerOptions(store_dir=Path("/data")))
    assert "cluster" not in alone and 'server_name: "harken"' in alone


def test_a_server_may_keep_the_others_from_clients() -> None:
    cluster = ClusterOptions(port=6222, routes=(), advertise=False)
    assert "no_advertise: true" in render_config(ServerOptions(store_dir=Path("/data"), cluster=cluster))
