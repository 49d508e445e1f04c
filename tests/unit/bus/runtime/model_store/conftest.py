from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.bus.runtime.model_store.tiny_model import FakeHub, FakePip, fake_hub


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePip:
    fake = FakePip(tmp_path / "pip")
    fake.replace_pip(monkeypatch)
    return fake


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as fake:
        yield fake
