"""The broker of a stack: one nats-server, or a cluster of three; killed, wiped, and asked who leads."""

import shutil
from pathlib import Path

from bus.control.probes import free_port
from bus.transport.connection import BusConnection
from bus.transport.server_binary import find_server_binary, write_private
from bus.transport.server_config import ClusterOptions, ServerOptions, render_config
from tests.chaos.process import Process

HOST = "127.0.0.1"
_READY = "Server is ready"


class Node:
    """One server. Its store outlives its process unless it is wiped."""

    def __init__(self, name: str, folder: Path, *, port: int, cluster: ClusterOptions | None) -> None:
        self.name = name
        self.url = f"nats://{HOST}:{port}"
        self.is_wiped_next = False
        """Whether the next life begins with an empty store."""
        self._store = folder / f"{name}-store"
        options = ServerOptions(store_dir=self._store, name=name, port=port, cluster=cluster)
        config = folder / f"{name}.conf"
        write_private(config, render_config(options))
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
        cluster_ports = [free_port(HOST) for _ in range(nodes)]
        routes = tuple(f"nats://{HOST}:{port}" for port in cluster_ports)
        clusters = [ClusterOptions(port=port, routes=routes) if nodes > 1 else None for port in cluster_ports]
        self.nodes = [
            Node(f"nats{n}", folder, port=port, cluster=cluster)
            for n, (port, cluster) in enumerate(zip(ports, clusters, strict=True))
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
