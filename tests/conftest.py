"""Fixtures shared by all tests that need the bus: a real nats-server in a temporary directory, and a connection."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bus.transport.assets import ensure_assets
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats

POOL = "std"
ConnectBus = Callable[..., Awaitable[BusConnection]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the server, so that `-m "not nats"` leaves it out."""
    for item in items:
        if "nats_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.nats)


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """A running server, empty, open on loopback; starts in about 20 ms."""
    async with EmbeddedNats(store_dir=tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def connect_bus(nats_server: EmbeddedNats) -> AsyncIterator[ConnectBus]:
    """Opens further connections to the server; all are closed after the test."""
    async with AsyncExitStack() as stack:

        async def connect(name: str = "test", *, watchdog_interval_s: float = 10.0) -> BusConnection:
            connection = await BusConnection.connect(
                nats_server.url,
                name=name,
                inbox_prefix=f"_INBOX_{name}",
                watchdog_interval_s=watchdog_interval_s,
            )
            stack.push_async_callback(connection.aclose)
            return connection

        yield connect


@pytest.fixture
async def bus(connect_bus: ConnectBus) -> BusConnection:
    """A connection with all streams, and the consumers of pool `std`, ensured."""
    connection = await connect_bus()
    await ensure_assets(connection, pools=[POOL])
    return connection
