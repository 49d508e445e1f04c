import importlib.metadata
import os
from pathlib import Path

import pytest

from bus.transport import server_binary
from bus.transport.server_binary import ServerUnavailable, StoreInUse, find_server_binary, lock_store


def test_the_binary_comes_from_the_pinned_wheel() -> None:
    assert os.access(find_server_binary(), os.X_OK)


def test_without_the_wheel_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[importlib.metadata.PackagePath]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(ServerUnavailable, match="set NATS_URL"):
        find_server_binary()


def test_a_wheel_without_the_binary_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [])
    with pytest.raises(ServerUnavailable, match="reinstall"):
        find_server_binary()


def test_a_store_has_one_holder_and_the_next_is_told_its_name(tmp_path: Path) -> None:
    store = tmp_path / "deep" / "store"
    first = lock_store(store)
    with pytest.raises(StoreInUse, match=str(store)) as caught:
        lock_store(store)
    assert caught.value.store_dir == store
    os.close(first)
    os.close(lock_store(store))


def test_the_lock_is_inheritable_and_the_store_private(tmp_path: Path) -> None:
    descriptor = lock_store(tmp_path / "store")
    assert os.get_inheritable(descriptor)
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0
    os.close(descriptor)


def test_off_linux_dying_with_the_parent_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_binary, "_libc", None)
    server_binary.die_with_parent(parent_pid=-1)
