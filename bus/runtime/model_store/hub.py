"""Files from the Hugging Face hub, over its plain HTTP interface.

Two requests are enough: the file list of a revision, and GET with Range for each file. Failing fast, resuming and
progress stay in our hands that way. `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE` and the usual proxy variables are
honoured.
"""

import errno
import http.client
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from bus.runtime.model_store.cache import Fetched, sha256_of
from bus.runtime.model_store.catalogue import HubSource, Model, PinnedFile
from bus.runtime.model_store.errors import SourceUnavailable
from bus.runtime.model_store.progress import Progress, Transfer

DEFAULT_ENDPOINT = "https://huggingface.co"

PROBE_TIMEOUT_S = 3.0
"""How long the hub may take to say what it has before the next source is tried; covers name resolution too."""

_STALL_TIMEOUT_S = 20.0
_BLOCK_BYTES = 1 << 18
_PROGRESS_EVERY_S = 0.1
_NETWORK_ERRORS = (OSError, http.client.HTTPException)
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_TRUE = {"1", "true", "yes", "on"}
# A converted Whisper model is these files; the repositories also hold read-me files that nobody loads.
_WANTED = {
    "config.json",
    "preprocessor_config.json",
    "model.bin",
    "tokenizer.json",
    "vocabulary.txt",
    "vocabulary.json",
}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class HubAccess:
    """Where the hub is and how to speak to it."""

    endpoint: str = DEFAULT_ENDPOINT
    token: str = ""
    offline: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "HubAccess":
        """The variables that huggingface_hub knows as well."""
        return cls(
            endpoint=environ.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT_ENDPOINT,
            token=environ.get("HF_TOKEN", ""),
            offline=environ.get("HF_HUB_OFFLINE", "").lower() in _TRUE,
        )


class _Lfs(msgspec.Struct, frozen=True):
    sha256: str
    size: int


class _Sibling(msgspec.Struct, frozen=True):
    rfilename: str
    size: int | None = None
    lfs: _Lfs | None = None


class _Revision(msgspec.Struct, frozen=True):
    sha: str
    siblings: list[_Sibling]


def fetch(model: Model, source: HubSource, access: HubAccess, staging: Path, progress: Progress) -> Fetched:
    """Fetch the files of `model` below the folder `staging`, resuming what lies there, and say what they must be.

    Blocking. The pins are the catalogue's, or for a model that is not pinned what the hub declares. Raises
    SourceUnavailable, within about PROBE_TIMEOUT_S if the hub cannot be reached at all.
    """
    if access.offline:
        raise SourceUnavailable("the hub is switched off by HF_HUB_OFFLINE")
    revision = _list_revision(source, access)
    folder = staging / "hub"
    folder.mkdir(exist_ok=True)
    pins: list[PinnedFile] = []
    for file in _choose_files(model, revision, source):
        path = folder / file.name
        if not (path.exists() and path.stat().st_size == file.size_bytes):
            url = f"{access.endpoint}/{source.repo_id}/resolve/{revision.sha}/{urllib.parse.quote(file.name)}"
            _download(_request(url, access), path, file.size_bytes, _reporter(model, file, progress))
        pins.append(file if file.sha256 else PinnedFile(file.name, path.stat().st_size, sha256_of(path)))
    return Fetched(folder, tuple(pins), source=f"hub:{source.repo_id}@{revision.sha}")


def _reporter(model: Model, file: PinnedFile, progress: Progress) -> Callable[[int], None]:
    return lambda done_bytes: progress(Transfer(model.name, file.name, done_bytes, file.size_bytes or None))


def _list_revision(source: HubSource, access: HubAccess) -> _Revision:
    url = f"{access.endpoint}/api/models/{source.repo_id}/revision/{source.revision}?blobs=true"

    def ask() -> bytes:
        with _open(_request(url, access), PROBE_TIMEOUT_S) as response:
            return response.read()

    try:
        return read_revision(_within(PROBE_TIMEOUT_S, ask))
    except TimeoutError as error:
        raise SourceUnavailable(f"the hub did not answer within {PROBE_TIMEOUT_S:g} s") from error
    except (*_NETWORK_ERRORS, ValueError) as error:
        raise SourceUnavailable(f"the hub could not be asked: {error}") from error


def read_revision(data: bytes) -> _Revision:
    """What the hub says that a revision holds. Raises SourceUnavailable for anything else."""
    try:
        return msgspec.json.decode(data, type=_Revision)
    except (ValueError, RecursionError) as error:
        raise SourceUnavailable(f"the hub answered with something else than a list of files: {error}") from error


def _choose_files(model: Model, revision: _Revision, source: HubSource) -> Sequence[PinnedFile]:
    """The files to fetch. The hub declares a hash for large files only; elsewhere `sha256` is empty."""
    if model.files:
        return model.files
    chosen = [s for s in revision.siblings if s.rfilename in _WANTED]
    if not any(s.rfilename == "model.bin" for s in chosen):
        raise SourceUnavailable(f"{source.repo_id} on the hub holds no model.bin")
    return [
        PinnedFile(s.rfilename, s.lfs.size, s.lfs.sha256) if s.lfs else PinnedFile(s.rfilename, s.size or 0, "")
        for s in chosen
    ]


def _download(request: urllib.request.Request, path: Path, size_bytes: int, report: Callable[[int], None]) -> None:
    """GET into `path` by way of `<path>.part`, going on where an earlier try stopped."""
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    if 0 < have < size_bytes:
        request.add_header("Range", f"bytes={have}-")
    try:
        with _open(request, _STALL_TIMEOUT_S) as response:
            _save(response, part, have if response.status == http.client.PARTIAL_CONTENT else 0, report)
    except _NETWORK_ERRORS as error:
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise
        raise SourceUnavailable(f"{path.name} from the hub broke off: {error}") from error
    if size_bytes and part.stat().st_size != size_bytes:
        raise SourceUnavailable(f"{path.name} from the hub ended after {part.stat().st_size} of {size_bytes} bytes")
    part.rename(path)


def _open(request: urllib.request.Request, timeout_s: float) -> http.client.HTTPResponse:
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise SourceUnavailable(f"the hub answered {error.code} for {request.selector}") from error
    return response


def _save(response: http.client.HTTPResponse, part: Path, offset: int, report: Callable[[int], None]) -> None:
    done, reported_at = offset, 0.0
    with part.open("ab" if offset else "wb") as file:
        while block := response.read(_BLOCK_BYTES):
            file.write(block)
            done += len(block)
            if time.monotonic() - reported_at > _PROGRESS_EVERY_S:
                reported_at = time.monotonic()
                report(done)
    report(done)


def _request(url: str, access: HubAccess) -> urllib.request.Request:
    request = urllib.request.Request(url, headers={"User-Agent": "harken"})
    if access.token:
        # Unredirected: large files are redirected to a storage host, which must not see the token.
        request.add_unredirected_header("Authorization", f"Bearer {access.token}")
    return request


def _within(limit_s: float, call: Callable[[], _T]) -> _T:
    """Run `call` in a thread and raise TimeoutError when it takes longer: name resolution has no timeout of its own."""
    outcome: Future[_T] = Future()

    def work() -> None:
        try:
            outcome.set_result(call())
        except Exception as error:  # raised in the caller's thread by result()
            outcome.set_exception(error)

    threading.Thread(target=work, name="hub-probe", daemon=True).start()
    return outcome.result(limit_s)
