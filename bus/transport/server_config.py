"""The configuration file of our own nats-server, as text. Pure: no file, no process."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bus.transport.roles import Permissions, permissions_of

RANDOM_PORT = -1
MIN_FILE_BYTES = 4 * 1024**3 + (256 + 32) * 1024**2
"""What the file streams reserve (`bus.transport.assets`): with less, the last of them cannot be created."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """The server as one of several that share streams. Only with `host` on a network that nobody else is on."""

    port: int
    """Where the others reach it, on the server's host."""
    routes: tuple[str, ...]
    """`nats://host:port` of the others, its own may be among them."""
    advertise: bool = True
    """Tell clients of the others, so that they know where else to connect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What may differ between two servers of ours."""

    store_dir: Path
    name: str = "harken"
    """Unique within a cluster."""
    host: str = "127.0.0.1"
    port: int = RANDOM_PORT
    """`RANDOM_PORT` lets the server choose; it then says which in its ports file."""
    monitor_port: int | None = None
    """Port of `/healthz` and its like on the same host; None opens none."""
    ports_file_dir: Path | None = None
    max_memory_bytes: int = 2 * 1024**3
    max_file_bytes: int = 8 * 1024**3
    credentials: Mapping[str, str] | None = None
    """Role to password (`bus.transport.roles`). None leaves the server open to everyone who reaches its address."""
    cluster: ClusterOptions | None = None


def render_config(options: ServerOptions) -> str:
    """Text of the file. ValueError for an unknown role. Holds the passwords: keep the file private."""
    lines = [
        f"listen: {_quoted(_address(options.host, options.port))}",
        f"server_name: {_quoted(options.name)}",
        # 29 s of 16 kHz 16-bit PCM is 928 000 bytes; headers count too.
        "max_payload: 1MB",
        "max_pending: 64MB",
        'write_deadline: "5s"',
        'ping_interval: "20s"',
        "ping_max: 2",
        'lame_duck_duration: "30s"',
        'lame_duck_grace_period: "2s"',
        # nats-py 2.16 cannot parse acknowledgement subjects of version 2: its read loop dies on them.
        "feature_flags { js_ack_fc_v2: false }",
        "jetstream {",
        f"  store_dir: {_quoted(str(options.store_dir))}",
        f"  max_mem: {options.max_memory_bytes}",
        f"  max_file: {options.max_file_bytes}",
        '  sync_interval: "10s"',
        "}",
    ]
    if options.cluster is not None:
        lines += _cluster(options.host, options.cluster)
    if options.monitor_port is not None:
        lines.append(f"http: {_quoted(_address(options.host, options.monitor_port))}")
    if options.ports_file_dir is not None:
        lines.append(f"ports_file_dir: {_quoted(str(options.ports_file_dir))}")
    if options.credentials is not None:
        lines += _account(options.credentials)
    return "\n".join(lines) + "\n"


def _address(host: str, port: int) -> str:
    bare_ipv6 = ":" in host and not host.startswith("[")
    return f"[{host}]:{port}" if bare_ipv6 else f"{host}:{port}"


def _cluster(host: str, cluster: ClusterOptions) -> list[str]:
    return [
        "cluster {",
        "  name: harken",
        f"  listen: {_quoted(_address(host, cluster.port))}",
        f"  routes: [{', '.join(map(_quoted, cluster.routes))}]",
        f"  no_advertise: {str(not cluster.advertise).lower()}",
        "}",
    ]


def _account(credentials: Mapping[str, str]) -> list[str]:
    users = [_user(role, password) for role, password in credentials.items()]
    return ["accounts {", "  HARKEN {", "    jetstream: enabled", "    users: [", *users, "    ]", "  }", "}"]


def _user(role: str, password: str) -> str:
    permissions = permissions_of(role)
    granted = "" if permissions is None else f", permissions: {_permissions(permissions)}"
    return f"      {{ user: {_quoted(role)}, password: {_quoted(password)}{granted} }}"


def _permissions(permissions: Permissions) -> str:
    publish, subscribe = (", ".join(map(_quoted, group)) for group in (permissions.publish, permissions.subscribe))
    return f"{{ publish: {{ allow: [{publish}] }}, subscribe: {{ allow: [{subscribe}] }} }}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
