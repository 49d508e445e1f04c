"""What is published to npm, and what is served: whole, small, and nobody else's."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from websockets.datastructures import Headers

from stream_gateway.page import Page
from tests.unit.clients.web.node import WEB

ROOT = WEB.parents[1]
PACKAGE = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
SERVED = sorted(path for folder in ("page", "sdk") for path in (WEB / folder).iterdir() if path.suffix != ".ts")
TSC = WEB / "node_modules" / ".bin" / "tsc"
LOADED = (
    *("/", "/static/page.js", "/static/page.css", "/static/page/icon.svg"),
    *("/static/sdk/capture-worklet.js", "/static/sdk/resampler.js"),
)
MAX_PAGE_BYTES = 100_000
MAX_FILE_LINES = 400


def test_both_packages_have_one_version_and_one_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (PACKAGE["version"], PACKAGE["license"]) == (project["version"], project["license"])
    assert (WEB / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_all_that_the_npm_package_names_is_there_and_it_needs_no_other() -> None:
    assert "dependencies" not in PACKAGE
    named = [PACKAGE["types"], *PACKAGE["sideEffects"], *PACKAGE["files"]]
    for target in PACKAGE["exports"].values():
        named += target.values() if isinstance(target, dict) else [target]
    assert [name for name in named if not (WEB / name).exists()] == []


def test_all_that_a_browser_loads_weighs_less_than_100_kilobytes() -> None:
    page = Page.installed()
    answers = [page.answer(path, _no_headers()) for path in LOADED]
    assert sum(len(answer.body) for answer in answers if answer is not None) < MAX_PAGE_BYTES
    assert None not in answers


def test_no_text_of_several_lines_could_be_taken_for_code_where_modules_are_joined() -> None:
    lines = [line for path in SERVED if path.suffix == ".js" for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if line.replace("\\`", "").count("`") % 2] == []


def test_every_style_sheet_of_the_page_is_sent() -> None:
    sent = Page.installed().answer("/static/page.css", _no_headers())
    assert sent is not None
    assert len(sent.body) == sum(path.stat().st_size for path in SERVED if path.suffix == ".css")


def test_no_file_is_too_long_to_be_read() -> None:
    assert [path.name for path in SERVED if len(path.read_text(encoding="utf-8").splitlines()) > MAX_FILE_LINES] == []


@pytest.mark.parametrize("path", SERVED, ids=lambda path: path.name)
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)(?!\")[a-z]", text) == []
    assert "innerHTML" not in text and "eval(" not in text
    if path.suffix == ".html":
        assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text) == []


def test_all_that_a_file_asks_for_is_served() -> None:
    page = Page.installed()
    missing = []
    for path in SERVED:
        base = f"/static/{path.parent.name}"
        text = path.read_text(encoding="utf-8")
        asked = re.findall(r'(?:src|href)="(/static/[^"]+)"', text)
        asked += [f"{base}/{name}" for name in re.findall(r'(?:from|new URL\() ?"\./([^"]+)"', text)]
        asked += [f"/static/{name}" for name in re.findall(r'from "\.\./([^"]+)"', text)]
        missing += [one for one in asked if page.answer(one, _no_headers()) is None]
    assert missing == []


@pytest.mark.skipif(not TSC.exists(), reason="TypeScript is not installed: npm install --prefix clients/web")
def test_the_declarations_hold_for_a_strict_compiler(tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / PACKAGE["name"]).symlink_to(WEB)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "user.ts").write_text((Path(__file__).parent / "user.ts").read_text(encoding="utf-8"))
    options = "--noEmit --strict --module nodenext --target es2022 --lib es2022,dom user.ts"
    done = subprocess.run(
        [TSC, *options.split()], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout


def _no_headers() -> Headers:
    return Headers()
