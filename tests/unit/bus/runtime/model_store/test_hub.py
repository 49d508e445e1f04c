import socket
import threading
from pathlib import Path

import pytest

from bus.runtime.model_store import hub as hub_module
from bus.runtime.model_store.catalogue import HubSource
from bus.runtime.model_store.errors import SourceUnavailable
from bus.runtime.model_store.hub import DEFAULT_ENDPOINT, HubAccess, fetch, read_revision
from bus.runtime.model_store.progress import Transfer, silent
from tests.unit.bus.runtime.model_store.tiny_model import COMMIT, CONTENT, TINY, UNPINNED, FakeHub

SOURCE = HubSource("us/tiny", COMMIT)


def test_pinned_files_are_fetched_at_their_revision(hub: FakeHub, tmp_path: Path) -> None:
    seen: list[Transfer] = []
    fetched = fetch(TINY, SOURCE, HubAccess(hub.endpoint), tmp_path, seen.append)
    assert {p.name: p.read_bytes() for p in fetched.folder.iterdir()} == CONTENT
    assert fetched.files == TINY.files
    assert fetched.source == f"hub:us/tiny@{COMMIT}"
    assert [path for path, _ in hub.requests][0] == f"/api/models/us/tiny/revision/{COMMIT}?blobs=true"
    assert seen[-1] == Transfer("tiny-test", "model.bin", 1000, 1000)


def test_an_unpinned_model_takes_its_file_list_and_hashes_from_the_hub(hub: FakeHub, tmp_path: Path) -> None:
    fetched = fetch(UNPINNED, HubSource("us/tiny"), HubAccess(hub.endpoint), tmp_path, silent)
    assert fetched.files == TINY.files
    assert not any("README" in path for path, _ in hub.requests)


def test_an_interrupted_file_goes_on_where_it_stopped(hub: FakeHub, tmp_path: Path) -> None:
    hub.truncate_after = 2
    with pytest.raises(SourceUnavailable, match=r"model\.bin from the hub (broke off|ended)"):
        fetch(TINY, SOURCE, HubAccess(hub.endpoint), tmp_path, silent)
    hub.truncate_after = None
    fetched = fetch(TINY, SOURCE, HubAccess(hub.endpoint), tmp_path, silent)
    assert hub.requests[-1][1] == "bytes=2-"
    assert (fetched.folder / "model.bin").read_bytes() == CONTENT["model.bin"]
    assert sum("config.json" in path for path, _ in hub.requests) == 1


def test_a_repository_without_weights_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    del hub.files["model.bin"]
    with pytest.raises(SourceUnavailable, match=r"no model\.bin"):
        fetch(UNPINNED, HubSource("us/tiny"), HubAccess(hub.endpoint), tmp_path, silent)


def test_an_unknown_repository_is_an_unavailable_source(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="404"):
        fetch(UNPINNED, HubSource("us/other"), HubAccess(hub.endpoint), tmp_path, silent)


def test_a_token_is_sent_to_the_hub(hub: FakeHub, tmp_path: Path) -> None:
    fetch(TINY, SOURCE, HubAccess(hub.endpoint, token="secret"), tmp_path, silent)
    assert set(hub.tokens) == {"Bearer secret"}


def test_a_refused_connection_is_an_unavailable_source(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceUnavailable, match="could not be asked"):
        fetch(TINY, SOURCE, HubAccess(f"http://127.0.0.1:{port}"), tmp_path, silent)


def test_a_silent_hub_is_given_up_after_the_probe_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PROBE_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        access = HubAccess(f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(SourceUnavailable, match=r"did not answer within 0\.05 s|timed out"):
            fetch(TINY, SOURCE, access, tmp_path, silent)


def test_hanging_name_resolution_cannot_hold_up_the_next_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> object:
        released.wait(10)
        raise OSError("released")

    monkeypatch.setattr(hub_module, "PROBE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(hub_module.urllib.request, "urlopen", hang)  # type: ignore[attr-defined]
    try:
        with pytest.raises(SourceUnavailable, match="did not answer"):
            fetch(TINY, SOURCE, HubAccess("http://hub.invalid"), tmp_path, silent)
    finally:
        released.set()


def test_offline_mode_asks_nobody(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="HF_HUB_OFFLINE"):
        fetch(TINY, SOURCE, HubAccess(hub.endpoint, offline=True), tmp_path, silent)
    assert hub.requests == []


def test_access_follows_the_variables_of_the_hub_client() -> None:
    assert HubAccess.from_environment({}) == HubAccess(DEFAULT_ENDPOINT, "", offline=False)
    environ = {"HF_ENDPOINT": "https://mirror/", "HF_TOKEN": "t", "HF_HUB_OFFLINE": "YES"}
    assert HubAccess.from_environment(environ) == HubAccess("https://mirror", "t", offline=True)


def test_a_full_disk_is_not_taken_for_a_network_fault(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub_module, "_save", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(TINY, SOURCE, HubAccess(hub.endpoint), tmp_path, silent)


@pytest.mark.parametrize("data", [b"", b"<html>", b"\xff", b'{"sha":1}', b'{"x":' + b"[" * 50_000])
def test_an_answer_that_is_no_list_of_files_is_an_unavailable_source(data: bytes) -> None:
    with pytest.raises(SourceUnavailable, match="something else than a list of files"):
        read_revision(data)
