import hashlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from bus.control import fetch_progress
from bus.control.models import models
from bus.runtime.model_store.cache import Fetched, ModelCache
from bus.runtime.model_store.catalogue import Catalogue, PinnedFile
from bus.runtime.model_store.errors import ModelUnavailable
from bus.runtime.model_store.progress import Progress, Transfer


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    return CliRunner(env={"HARKEN_CACHE_DIR": str(tmp_path), "COLUMNS": "160"})


def put_in_cache(name: str, cache_dir: Path) -> Path:
    model = Catalogue().require(name)
    cache = ModelCache(cache_dir)
    folder = cache.staging(model) / "files"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"weights")
    pin = PinnedFile("model.bin", 7, hashlib.sha256(b"weights").hexdigest())
    return cache.install(model, Fetched(folder, (pin,), "a test"))


def line_of(name: str, text: str) -> str:
    return next(line for line in text.splitlines() if line.split()[:1] == [name])


def test_list_shows_what_is_here_and_what_is_not(runner: CliRunner, tmp_path: Path) -> None:
    put_in_cache("tiny", tmp_path)
    result = runner.invoke(models, ["list"])
    assert line_of("tiny", result.stdout).split()[-2:] == ["hub", "yes"]
    assert "148 MB" in line_of("base", result.stdout)
    assert "yes" not in line_of("base", result.stdout)


def test_path_prints_only_the_path(runner: CliRunner, tmp_path: Path) -> None:
    folder = put_in_cache("tiny", tmp_path)
    result = runner.invoke(models, ["path", "tiny"])
    assert (result.exit_code, result.stdout) == (0, f"{folder}\n")


def test_path_of_an_absent_model_names_the_command_that_fetches_it(runner: CliRunner) -> None:
    result = runner.invoke(models, ["path", "tiny"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "harken models pull tiny" in result.stderr


@pytest.mark.parametrize("command", ["path", "pull"])
def test_an_unknown_name_is_an_error_on_stderr(runner: CliRunner, command: str) -> None:
    result = runner.invoke(models, [command, "whisper-huge"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "There is no model named 'whisper-huge'" in result.stderr


def test_pull_fetches_what_up_needs_and_reports_on_stderr(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(name: str, *, cache_dir: Path, progress: Progress) -> Path:
        progress(Transfer(name, "model.bin", 1, 2))
        progress(Transfer(name, "model.bin", 2, 2))
        return cache_dir / name

    monkeypatch.setattr(fetch_progress, "resolve", resolve)
    result = runner.invoke(models, ["pull"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        "fetching base: model.bin", f"base is in {tmp_path / 'base'}",
        "fetching silero-vad: model.bin", f"silero-vad is in {tmp_path / 'silero-vad'}",
        "fetching smollm2: model.bin", f"smollm2 is in {tmp_path / 'smollm2'}",
    ]  # fmt: skip


def test_a_failed_pull_is_an_error_without_a_traceback(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: str, **_: object) -> Path:
        raise ModelUnavailable(name, ["the hub did not answer within 3 s"], only_on_hub=True)

    monkeypatch.setattr(fetch_progress, "resolve", resolve)
    result = runner.invoke(models, ["pull", "tiny"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Model 'tiny' is not in the cache and could not be fetched (the hub did not")


def test_a_model_that_is_here_is_not_fetched(runner: CliRunner, tmp_path: Path) -> None:
    folder = put_in_cache("tiny", tmp_path)
    result = runner.invoke(models, ["pull", "tiny"])
    assert result.stderr == f"tiny is in {folder}\n"
