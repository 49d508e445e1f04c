"""A model of a few bytes with a fake hub and a fake pip, for the tests of this package."""

import contextlib
import hashlib
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bus.runtime.model_store import package_index
from bus.runtime.model_store.catalogue import ArchiveMember, Catalogue, HubSource, IndexSource, Model, PinnedFile

CONTENT = {"config.json": b"{}", "model.bin": b"weights of the model" * 50}
COMMIT = "c0ffee"


def pin(name: str, data: bytes) -> PinnedFile:
    return PinnedFile(name, len(data), hashlib.sha256(data).hexdigest())


TINY = Model(
    "tiny-test",
    "for tests",
    files=tuple(pin(name, data) for name, data in CONTENT.items()),
    hub=HubSource("us/tiny", COMMIT),
    index=IndexSource(
        {
            "config.json": [ArchiveMember("tiny-a==1.0", "a/config.json")],
            "model.bin": [ArchiveMember("tiny-a==1.0", "a/model.1"), ArchiveMember("tiny-b==1.0", "b/model.2")],
        }
    ),
)
UNPINNED = Model("open-test", "for tests", hub=HubSource("us/tiny"))
CATALOGUE = Catalogue((TINY, UNPINNED))


def write_wheels(folder: Path, *, second_part: bytes = CONTENT["model.bin"][100:]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "tiny_a-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("a/config.json", CONTENT["config.json"])
        wheel.writestr("a/model.1", CONTENT["model.bin"][:100])
    with zipfile.ZipFile(folder / "tiny_b-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("b/model.2", second_part)


_FAKE_PIP = """
import pathlib, shutil, sys
arguments = sys.argv[1:]
requirement = arguments[-1]
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(" ".join(arguments) + "\\n")
if "raw" in arguments and (here / "old").exists():
    sys.exit("option --progress-bar: invalid choice: 'raw' (choose from 'on', 'off')")
name = requirement.replace("==", "-").replace("tiny-", "tiny_") + "-py3-none-any.whl"
wheel = here / "index" / name
if not wheel.exists():
    print("WARNING: something else")
    print("ERROR: Could not find a version that satisfies the requirement " + requirement)
    print("ERROR: No matching distribution found for " + requirement)
    sys.exit(1)
target = pathlib.Path(arguments[arguments.index("--dest") + 1])
target.mkdir(parents=True, exist_ok=True)
print("Progress 10 of 40", flush=True)
shutil.copy(wheel, target)
print("Saved", name)
"""


class FakePip:
    """Replaces the command that `package_index` runs; `index` is the folder that it serves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = folder / "index"
        self.index.mkdir(parents=True)
        self.script = folder / "pip.py"
        self.script.write_text(_FAKE_PIP)

    @property
    def calls(self) -> list[str]:
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def replace_pip(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = subprocess.Popen

        def run(command: list[str], **options: object) -> "subprocess.Popen[str]":
            assert command[:4] == [sys.executable, "-m", "pip", "download"]
            return real([sys.executable, str(self.script), *command[3:]], **options)  # type: ignore[call-overload, no-any-return]

        monkeypatch.setattr(package_index.subprocess, "Popen", run)  # type: ignore[attr-defined]


class FakeHub:
    """The two requests of the hub that we use. `files` may be changed, `truncate_after` breaks one answer off."""

    def __init__(self) -> None:
        self.files = dict(CONTENT)
        self.truncate_after: int | None = None
        self.requests: list[tuple[str, str | None]] = []
        self.tokens: list[str | None] = []
        self.endpoint = ""

    def listing(self) -> bytes:
        siblings: list[dict[str, object]] = [{"rfilename": "README.md", "size": 3}]
        for name, data in self.files.items():
            sibling: dict[str, object] = {"rfilename": name, "size": len(data)}
            if name == "model.bin":
                sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            siblings.append(sibling)
        return json.dumps({"sha": COMMIT, "siblings": siblings}).encode()


@contextlib.contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server calls
            hub.requests.append((self.path, self.headers["Range"]))
            hub.tokens.append(self.headers["Authorization"])
            name = self.path.rpartition("/")[2]
            if self.path.startswith("/api/models/us/tiny/revision/"):
                self._answer(200, hub.listing())
            elif name in hub.files and self.path.startswith(f"/us/tiny/resolve/{COMMIT}/"):
                start = int((self.headers["Range"] or "bytes=0-")[len("bytes=") : -1])
                self._answer(206 if start else 200, hub.files[name][start:], cut=hub.truncate_after)
            else:
                self.send_error(404)

        def _answer(self, status: int, body: bytes, cut: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:cut])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
