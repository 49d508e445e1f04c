"""The folder of finished models: `<cache>/models/<name>/` with its files and a marker.

A model is fetched into `<cache>/models/.partial/<name>/`, verified there, and moved to its place by one rename; the
marker is written last, before the rename. So a folder that has a valid marker is complete, whatever was interrupted,
and a start does not have to hash 145 MB again. Writers hold a file lock per model; readers need none.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bus.runtime.model_store.catalogue import Model, PinnedFile
from bus.runtime.model_store.errors import CacheUnusable, ChecksumMismatch

MARKER = ".complete.json"


@dataclass(frozen=True, slots=True)
class Fetched:
    """Downloaded files in `folder`, not yet verified, and what each must be."""

    folder: Path
    files: tuple[PinnedFile, ...]
    source: str


class _Marker(msgspec.Struct, frozen=True):
    model: str
    source: str
    files: dict[str, tuple[int, str]]


class ModelCache:
    """Finished models under one folder. Blocking; safe across processes on one machine."""

    def __init__(self, cache_dir: Path) -> None:
        self._root = cache_dir / "models"

    def find(self, model: Model) -> Path | None:
        """What a user of `model` opens, or None when it is absent, incomplete, or pinned to other bytes than these."""
        folder = self._root / model.name
        marker = _read_marker(folder)
        if marker is None:
            return None
        if model.files and marker.files != {f.name: (f.size_bytes, f.sha256) for f in model.files}:
            return None
        if any(_size_of(folder / name) != size for name, (size, _) in marker.files.items()):
            return None
        return folder / model.entry if model.entry else folder

    @contextmanager
    def locked(self, model: Model) -> Iterator[None]:
        """Hold the lock of `model`; waits for another process that holds it, and is interruptible by a signal."""
        path = self._root / ".locks" / f"{model.name}.lock"
        with translated_to_cache_errors(self._root):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def staging(self, model: Model) -> Path:
        """The folder to fetch into. It survives an interrupted fetch, so that the next one can resume."""
        folder = self._root / ".partial" / model.name
        with translated_to_cache_errors(self._root):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def discard_staging(self, model: Model) -> None:
        """Forget a fetch whose bytes cannot be trusted."""
        shutil.rmtree(self._root / ".partial" / model.name, ignore_errors=True)

    def install(self, model: Model, fetched: Fetched) -> Path:
        """Verify the fetched files and make them the cached model; returns what a user of it opens.

        The caller holds the lock. Raises ChecksumMismatch if a file differs, and leaves what is cached as it was.
        """
        for pinned in fetched.files:
            actual = sha256_of(fetched.folder / pinned.name)
            if actual != pinned.sha256:
                raise ChecksumMismatch(pinned.name, source=fetched.source, expected=pinned.sha256, actual=actual)
        marker = _Marker(model.name, fetched.source, {f.name: (f.size_bytes, f.sha256) for f in fetched.files})
        target = self._root / model.name
        with translated_to_cache_errors(self._root):
            _write_marker(fetched.folder / MARKER, msgspec.json.encode(marker))
            if target.exists():
                shutil.rmtree(target)
            fetched.folder.rename(target)
        self.discard_staging(model)
        return target / model.entry if model.entry else target


def sha256_of(path: Path) -> str:
    """Hex digest of the file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def translated_to_cache_errors(root: Path) -> Iterator[None]:
    """Turn what the file system refuses into CacheUnusable."""
    try:
        yield
    except OSError as error:
        raise CacheUnusable(root, error.strerror or type(error).__name__) from error


def _read_marker(folder: Path) -> _Marker | None:
    try:
        return msgspec.json.decode((folder / MARKER).read_bytes(), type=_Marker)
    except (OSError, msgspec.MsgspecError):
        return None


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _write_marker(path: Path, data: bytes) -> None:
    # fsync before the rename: after a power cut the marker must not outlive the model files it vouches for.
    for sibling in path.parent.iterdir():
        if sibling.is_file():
            with sibling.open("rb") as file:
                os.fsync(file.fileno())
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
