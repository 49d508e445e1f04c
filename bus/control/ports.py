"""The ports of `harken up`, settled before anything is started. A port that cannot be had is a ClickException."""

import click

from bus.control.probes import free_port, url_host, why_not_free
from bus.control.process_types import NATS_HOST, NATS_PORT


def gateway_port(host: str, port: int) -> int:
    """`port` if it is free; 0 takes any that is."""
    return free_port(host) if port == 0 else _claimed(host, port, "--port")


def nats_port(wanted: int | None) -> int:
    """`wanted` if it is free; None prefers the port at which clients of NATS look by default."""
    if wanted is not None:
        return _claimed(NATS_HOST, wanted, "--nats-port")
    return NATS_PORT if why_not_free(NATS_HOST, NATS_PORT) is None else free_port(NATS_HOST)


def _claimed(host: str, port: int, flag: str) -> int:
    if (reason := why_not_free(host, port)) is not None:
        raise click.ClickException(
            f"Cannot listen on {url_host(host)}:{port}: {reason}. Stop what uses it (ss -ltnp names it) or choose"
            f" another port with {flag}"
        )
    return port
