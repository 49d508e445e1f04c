"""The least disk that our nats-server may be given, against what the streams ask of a real one."""

from pathlib import Path

import pytest

from bus.contract.errors import Overloaded
from bus.transport.assets import ensure_assets
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from bus.transport.server_config import MIN_FILE_BYTES


@pytest.mark.nats
async def test_the_streams_fit_into_the_least_disk(tmp_path: Path) -> None:
    async with EmbeddedNats(store_dir=tmp_path, max_file_bytes=MIN_FILE_BYTES) as server:
        bus = await BusConnection.connect(server.url, name="t", inbox_prefix="_INBOX_t")
        await ensure_assets(bus)
        await bus.aclose()


@pytest.mark.nats
async def test_they_do_not_fit_into_less(tmp_path: Path) -> None:
    async with EmbeddedNats(store_dir=tmp_path, max_file_bytes=MIN_FILE_BYTES - 1) as server:
        bus = await BusConnection.connect(server.url, name="t", inbox_prefix="_INBOX_t")
        with pytest.raises(Overloaded):
            await ensure_assets(bus)
        await bus.aclose()
