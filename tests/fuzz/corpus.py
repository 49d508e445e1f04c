"""Inputs that broke something once, as files: each is run again by every test run, for ever."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.campaign import Crash, smallest
from tests.fuzz.target import Target

FOLDER = Path(__file__).parent / "corpus"
_MAX_BYTES = 32 * 1024
"""Of a file that is worth keeping; longer ones are made again from their number."""
_TRIES = 1_000
_TRIES_OF_HANGS = 20


def kept(target: Target) -> Iterator[Path]:
    """The files of one target."""
    return iter(sorted((FOLDER / target.name).glob("*.bin")))


def keep(target: Target, crash: Crash) -> Path | None:
    """Keep an input, as small as it gets; None if it is too long for that."""
    data = smallest(target, crash, tries=_TRIES_OF_HANGS if crash.is_hang else _TRIES)
    if len(data) > _MAX_BYTES:
        return None
    path = FOLDER / target.name / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
