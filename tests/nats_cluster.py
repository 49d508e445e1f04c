"""Three real nats-servers that share streams, on loopback: what a test does to them is what happens in production."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from bus.transport.server_config import ClusterOptions

_WITHIN_S = 60.0
_POLL_S = 0.05


class NatsCluster:
    """The nodes by name: `n1`, `n2`, `n3`. `kill`, `stop` and `start` of a node are the node's own."""

    def __init__(self, nodes: dict[str, EmbeddedNats]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """All nodes, as clients are to be given them."""
        return ",".join(node.url for node in self.nodes.values())

    async def leader_of(self, bus: BusConnection, stream: str) -> str:
        """The name of the node that leads this stream, once there is one."""
        async with asyncio.timeout(_WITHIN_S):
            while True:
                info = await bus.request_api(f"STREAM.INFO.{stream}")
                if leader := (info.get("cluster") or {}).get("leader"):
                    return str(leader)
                await asyncio.sleep(_POLL_S)

    async def is_whole(self, bus: BusConnection, stream: str) -> None:
        """Return once every replica of this stream has all that is in it."""
        async with asyncio.timeout(_WITHIN_S):
            while True:
                cluster = (await bus.request_api(f"STREAM.INFO.{stream}")).get("cluster") or {}
                replicas = cluster.get("replicas") or []
                if cluster.get("leader") and all(one.get("current") for one in replicas):
                    return
                await asyncio.sleep(_POLL_S)

    async def move_leader(self, bus: BusConnection, stream: str, *, to: str) -> None:
        """Return once the node `to` leads this stream."""
        body = json.dumps({"placement": {"preferred": to}}).encode()
        async with asyncio.timeout(_WITHIN_S):
            while await self.leader_of(bus, stream) != to:
                await bus.request_api(f"STREAM.LEADER.STEPDOWN.{stream}", body)
                await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def running_cluster(folder: Path, *, nodes: int = 3, advertise: bool = False) -> AsyncIterator[NatsCluster]:
    """Start all nodes together; healthy takes some three seconds. All of them end with the block.

    Without `advertise` clients know the nodes they were given alone, which a proxy in between needs.
    """
    names = [f"n{number}" for number in range(1, nodes + 1)]
    ports = dict(zip(names, _free_ports(nodes), strict=True))
    routes = tuple(f"nats://127.0.0.1:{port}" for port in ports.values())
    cluster = NatsCluster(
        {
            name: EmbeddedNats(
                store_dir=folder / name,
                name=name,
                cluster=ClusterOptions(port=port, routes=routes, advertise=advertise),
            )
            for name, port in ports.items()
        }
    )
    try:
        await asyncio.gather(*(node.start() for node in cluster.nodes.values()))
        yield cluster
    finally:
        # Not in peace: a server that leaves a cluster first hands over what it leads, to others that leave too.
        await asyncio.gather(*(node.kill() for node in cluster.nodes.values()))


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
