import threading
from pathlib import Path

import pytest

from bus.runtime.model_store.cache import MARKER, Fetched, ModelCache, sha256_of
from bus.runtime.model_store.catalogue import Model
from bus.runtime.model_store.errors import CacheUnusable, ChecksumMismatch
from tests.unit.bus.runtime.model_store.tiny_model import CONTENT, TINY, pin


def fetched(cache: ModelCache, model: Model = TINY, weights: bytes = CONTENT["model.bin"]) -> Fetched:
    folder = cache.staging(model) / "files"
    folder.mkdir()
    for name, data in (CONTENT | {"model.bin": weights}).items():
        (folder / name).write_bytes(data)
    return Fetched(folder, tuple(pin(n, d) for n, d in CONTENT.items()), source="a test")


def test_an_installed_model_is_found_and_its_staging_is_gone(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    assert cache.find(TINY) is None
    folder = cache.install(TINY, fetched(cache))
    assert cache.find(TINY) == folder == tmp_path / "models" / "tiny-test"
    assert sorted(p.name for p in folder.iterdir()) == [MARKER, "config.json", "model.bin"]
    assert not any((tmp_path / "models" / ".partial").iterdir())


def test_a_model_with_an_entry_is_found_as_that_file(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    model = Model("one", "", files=TINY.files, entry="model.bin")
    path = cache.install(model, fetched(cache, model))
    assert path == cache.find(model)
    assert path.read_bytes() == CONTENT["model.bin"]


def test_a_wrong_byte_is_named_and_nothing_is_installed(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    wrong = b"X" + CONTENT["model.bin"][1:]
    with pytest.raises(ChecksumMismatch, match=r"model\.bin from a test has SHA-256"):
        cache.install(TINY, fetched(cache, weights=wrong))
    assert cache.find(TINY) is None


@pytest.mark.parametrize("damage", ["marker_missing", "marker_garbage", "file_missing", "file_short"])
def test_a_damaged_folder_counts_as_absent(tmp_path: Path, damage: str) -> None:
    cache = ModelCache(tmp_path)
    folder = cache.install(TINY, fetched(cache))
    match damage:
        case "marker_missing":
            (folder / MARKER).unlink()
        case "marker_garbage":
            (folder / MARKER).write_bytes(b"{")
        case "file_missing":
            (folder / "model.bin").unlink()
        case _:
            (folder / "model.bin").write_bytes(b"short")
    assert cache.find(TINY) is None
    cache.install(TINY, fetched(cache))
    assert cache.find(TINY) == folder


def test_a_model_pinned_to_other_bytes_than_the_cached_ones_counts_as_absent(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    cache.install(TINY, fetched(cache))
    assert cache.find(Model("tiny-test", "", files=(pin("model.bin", b"newer"),))) is None


def test_the_lock_of_a_model_keeps_others_out_until_it_is_released(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path)
    entered = threading.Event()

    def other() -> None:
        with ModelCache(tmp_path).locked(TINY):
            entered.set()

    thread = threading.Thread(target=other)
    with cache.locked(TINY):
        thread.start()
        assert not entered.wait(0.05)
    assert entered.wait(5)
    thread.join()


def test_a_cache_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a folder must be")
    cache = ModelCache(tmp_path)
    with pytest.raises(CacheUnusable, match="HARKEN_CACHE_DIR"):
        cache.staging(TINY)
    with pytest.raises(CacheUnusable), cache.locked(TINY):
        pass


def test_sha256_is_the_one_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT["model.bin"])
    assert sha256_of(tmp_path / "f") == TINY.files[1].sha256
