"""`python -m bus.nats_server`: become a nats-server with our configuration.

Locks the store, writes the configuration and replaces itself by the server (exec): the process id, and with it
supervision and signals, is the server's own, and the lock lives exactly as long as the server.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import click

from bus.runtime.exposure import is_loopback
from bus.runtime.settings import UnknownSetting, click_options, refuse_unknown_environment, setting
from bus.runtime.shared_settings import SharedSettings
from bus.transport.server_binary import (
    ServerUnavailable,
    die_with_parent,
    find_server_binary,
    lock_store,
    write_private,
)
from bus.transport.server_config import MIN_FILE_BYTES, ServerOptions, render_config


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsServerSettings:
    """One server for one machine; production runs a NATS cluster instead."""

    section: ClassVar[str] = "NATS"
    data_dir: Path = setting(
        Path("~/.local/share/harken/nats"), help="Store of the server; one server per directory at a time."
    )
    host: str = setting("127.0.0.1", help="Address to listen on. Other than loopback only with credentials.")
    port: int = setting(4222, minimum=1, maximum=65535, help="Port to listen on.")
    monitor_port: int | None = setting(None, minimum=1, maximum=65535, help="Port of /healthz, /varz and /jsz.")
    max_memory_bytes: int = setting(2 * 1024**3, minimum=2**30, help="Memory that streams may take.")
    max_file_bytes: int = setting(8 * 1024**3, minimum=MIN_FILE_BYTES, help="Disk that streams may take.")
    credentials_file: Path | None = setting(
        None, help="JSON object of role to password: gateway, asr, admin, `reader_<tenant>`. Without it, open to all."
    )
    die_with_parent: bool = setting(False, help="End when the process that started this one ends (Linux).")

    def __post_init__(self) -> None:
        if self.credentials_file is None and not is_loopback(self.host):
            raise ValueError("to listen beyond loopback, give a credentials file")


@click.command()
@click_options(NatsServerSettings)
def main(settings: NatsServerSettings) -> None:
    """Become a nats-server with Harken's configuration, on one locked store."""
    parent = os.getppid()
    try:
        refuse_unknown_environment(NatsServerSettings.section, (NatsServerSettings, SharedSettings), os.environ)
        binary, credentials = find_server_binary(), _read_credentials(settings.credentials_file)
        lock_store(settings.data_dir)
        config = settings.data_dir / "nats-server.conf"
        write_private(config, render_config(_options(settings, credentials)))
    except (UnknownSetting, ServerUnavailable, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if settings.die_with_parent:
        die_with_parent(parent)
    sys.stdout.flush()
    os.execv(binary, [str(binary), "-c", str(config)])


def _options(settings: NatsServerSettings, credentials: Mapping[str, str] | None) -> ServerOptions:
    return ServerOptions(
        store_dir=settings.data_dir / "data",
        host=settings.host,
        port=settings.port,
        monitor_port=settings.monitor_port,
        max_memory_bytes=settings.max_memory_bytes,
        max_file_bytes=settings.max_file_bytes,
        credentials=credentials,
    )


def _read_credentials(path: Path | None) -> Mapping[str, str] | None:
    if path is None:
        return None
    credentials = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(credentials, dict) or not all(isinstance(value, str) for value in credentials.values()):
        raise ValueError(f"{path} must hold a JSON object of role to password")
    return credentials


if __name__ == "__main__":
    main()
