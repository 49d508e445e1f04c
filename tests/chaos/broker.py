"""The broker of a stack: one nats-server, or a cluster of three; killed, wiped, and asked who leads."""

import shutil
from pathlib import Path

from bus.control.probes import free_port
from bus.transport.connection import BusConnection
from bus.transport.server_binary import find_server_binary, write_private
from bus.transport.server_config import ServerOptions, render_config
from tests.chaos.process import Process

HOST = "127.0.0.1"
_READY = "Server is ready"


class Node:
    """One server. Its store outlives its process unless it is wiped."""

    def __init__(self, name: str, folder: Path, *, port: int, routes: tuple[str, ...] = ()) -> None:
        self.name = name
        self.url = f"nats://{HOST}:{port}"
        self.is_wiped_next = False
        """Whether the next life begins with an empty store."""
        self._store = folder / f"{name}-store"
        options = ServerOptions(store_dir=self._store, port=port)
        config = folder / f"{name}.conf"
        write_private(config, _config(options, name, routes))
        self.process = Process(
            name,
            (str(find_server_binary()), "-c", str(config)),
            {},
            folder,
            ready=_READY,
            before_start=self._before_start,
        )

    def _before_start(self) -> None:
        if self.is_wiped_next:
            shutil.rmtree(self._store, ignore_errors=True)
            self.is_wiped_next = False


class Broker:
    """One node or three; a cluster keeps three copies of what the streams ask it to keep."""

    def __init__(self, nodes: int, folder: Path) -> None:
        ports = [free_port(HOST) for _ in range(nodes)]
        cluster_ports = [free_port(HOST) for _ in range(nodes)] if nodes > 1 else []
        routes = tuple(f"{HOST}:{port}" for port in cluster_ports)
        self.nodes = [
            Node(f"nats{n}", folder, port=port, routes=(*routes[n:], *routes[:n])) for n, port in enumerate(ports)
        ]

    @property
    def url(self) -> str:
        """For everybody who connects."""
        return ",".join(node.url for node in self.nodes)

    async def start(self) -> None:
        """Start all nodes; returns once each says that it is ready."""
        for node in self.nodes:
            await node.process.start()
        await self.until_serving()

    async def until_serving(self) -> None:
        """Return once every node runs."""
        for node in self.nodes:
            await node.process.until_serving()

    async def leader(self, bus: BusConnection, stream: str) -> Node:
        """The node that leads `stream`."""
        info = await bus.request_api(f"STREAM.INFO.{stream}")
        name = info.get("cluster", {}).get("leader") or self.nodes[0].name
        return next(node for node in self.nodes if node.name == name)

    async def close(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            await node.process.close()


def _config(options: ServerOptions, name: str, routes: tuple[str, ...]) -> str:
    """As a process of ours would run it, as one of several if there are `routes`: its own address first."""
    text = render_config(options).replace("server_name: harken", f"server_name: {name}")
    if not routes:
        return text
    listen, *_ = routes
    urls = ", ".join(f'"nats://{route}"' for route in routes)
    return f'{text}cluster {{\n  name: harken\n  listen: "{listen}"\n  routes: [{urls}]\n}}\n'
