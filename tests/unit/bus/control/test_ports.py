import socket
from collections.abc import Iterator

import click
import pytest

from bus.control import ports
from bus.control.ports import gateway_port, nats_port
from bus.control.probes import why_not_free

HOST = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as owner:
        yield owner.getsockname()[1]


def test_nats_is_where_its_clients_look_if_that_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "why_not_free", lambda host, port: None)
    assert nats_port(None) == 4222


def test_nats_takes_any_free_port_if_the_usual_one_is_taken(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    monkeypatch.setattr(ports, "NATS_PORT", taken)
    port = nats_port(None)
    assert port != taken
    assert why_not_free(HOST, port) is None


def test_port_0_is_any_free_one_for_the_gateway() -> None:
    assert why_not_free(HOST, gateway_port(HOST, 0)) is None


def test_a_port_that_was_asked_for_is_refused_if_it_is_taken_and_the_flag_to_change_it_is_named(taken: int) -> None:
    with pytest.raises(click.ClickException, match=f"Cannot listen on {HOST}:{taken}: .* another port with --port$"):
        gateway_port(HOST, taken)
    with pytest.raises(click.ClickException, match=f"Cannot listen on {HOST}:{taken}: .* with --nats-port$"):
        nats_port(taken)
