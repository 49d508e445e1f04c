"""Why model files could not be had. Texts go to people: each says what happened and what to do.

ModelStoreError
 |- UnknownModel            a name that is neither in the catalogue nor a path
 |- IncompleteModel         a local folder without the files of a model
 |- ChecksumMismatch        a download whose content is not what is pinned
 |- SourceUnavailable       one source (hub or package index) cannot serve; the store tries the next
 |- ModelUnavailable        every source was tried
 `- CacheUnusable           the cache folder cannot be written, or the disk is full
"""

from collections.abc import Sequence
from pathlib import Path


class ModelStoreError(Exception):
    """Base. `advice` says in one sentence what to do; it is part of `str(error)`."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(f"{message}. {advice}" if advice else message)
        self.message = message
        self.advice = advice


class UnknownModel(ModelStoreError):
    """A name that is neither in the catalogue nor an existing path."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"There is no model named {name!r}",
            advice=f"Known names: {', '.join(known)}. A folder of your own is given as a path, such as ./{name}",
        )


class IncompleteModel(ModelStoreError):
    """A local path that lacks files which a model must have."""

    def __init__(self, path: Path, missing: Sequence[str]) -> None:
        super().__init__(
            f"{path} is not a complete model: {', '.join(missing)} missing",
            advice="A Whisper model for CTranslate2 has model.bin, config.json, tokenizer.json and a vocabulary",
        )


class ChecksumMismatch(ModelStoreError):
    """A file whose bytes are not the pinned ones. What was downloaded has been removed."""

    def __init__(self, file_name: str, *, source: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{file_name} from {source} has SHA-256 {actual}, expected {expected}",
            advice="It was thrown away; try again, and if it happens again do not trust that mirror",
        )
        self.file_name = file_name
        self.source = source


class SourceUnavailable(ModelStoreError):
    """One source cannot serve these files now."""


class ModelUnavailable(ModelStoreError):
    """No source could serve the model. `tried` has one line per source, in order."""

    def __init__(self, name: str, tried: Sequence[str], *, only_on_hub: bool) -> None:
        where = (
            "Only the hub has it: check the network and HF_ENDPOINT"
            if only_on_hub
            else ("Check the network, HF_ENDPOINT and pip's configuration")
        )
        super().__init__(
            f"Model {name!r} is not in the cache and could not be fetched ({'; '.join(tried)})",
            advice=f"{where}, or give the path of a copy instead of the name",
        )
        self.tried = tuple(tried)


class CacheUnusable(ModelStoreError):
    """The cache folder cannot be created or written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"Cannot write model files under {path}: {reason}",
            advice="Make room or set HARKEN_CACHE_DIR to a folder that can be written",
        )
