import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clients.cli.main import build_group, installed_version, load_command, registered_commands, short_help

TRANSCRIBE = "clients.cli.transcribe:transcribe"
BROKEN = "tests.unit.clients.cli.not_there:command"


def run(targets: dict[str, str], *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(build_group(targets), list(arguments))
    return result.exit_code, result.output


def test_help_lists_all_commands_with_their_first_sentence() -> None:
    code, output = run({"transcribe": TRANSCRIBE, "other": BROKEN}, "--help")
    assert code == 0
    assert "Transcribe audio files of any format, standard input (-) or the microphone" in " ".join(output.split())
    assert output.index("other") < output.index("transcribe")


def test_help_without_any_command_still_works() -> None:
    code, output = run({}, "--help")
    assert code == 0
    assert "Commands" not in output


def test_help_imports_no_command() -> None:
    program = (
        "import sys\n"
        "from clients.cli.main import build_group\n"
        f"build_group({{'transcribe': {TRANSCRIBE!r}}})(['--help'], standalone_mode=False)\n"
        "assert not {'av', 'rich', 'websockets', 'msgspec', 'asyncio'} & set(sys.modules), sorted(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "transcribe" in done.stdout


def test_a_command_is_loaded_when_it_is_used() -> None:
    code, output = run({"transcribe": TRANSCRIBE}, "transcribe", "--help")
    assert code == 0
    assert "--realtime" in output


def test_an_unknown_command_is_wrong_usage() -> None:
    code, output = run({"transcribe": TRANSCRIBE}, "transcrube")
    assert code == 2
    assert "No such command" in output


def test_a_command_that_cannot_be_imported_says_what_is_missing() -> None:
    code, output = run({"broken": BROKEN}, "broken")
    assert code == 1
    assert "the command 'broken' cannot be loaded" in output
    assert "not_there" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("target", ["clients.cli.main:no_such_name", "clients.cli.main:DISTRIBUTION"])
def test_a_target_that_is_no_command_is_refused(target: str) -> None:
    with pytest.raises(click.ClickException, match="cannot be loaded"):
        load_command("odd", target)


@pytest.mark.parametrize(
    "target", [BROKEN, "clients.cli.main:DISTRIBUTION", "clients:nothing", "sys:exit", "no.such.package:x"]
)
def test_a_command_without_readable_help_has_none(target: str) -> None:
    assert short_help(target) == ""


def test_source_that_cannot_be_parsed_has_no_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_written_command.py").write_text("def command(:", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert short_help("half_written_command:command") == ""


def test_the_version_is_printed() -> None:
    code, output = run({}, "--version")
    assert code == 0
    assert output == f"harken, version {installed_version()}\n"


def test_the_version_of_a_bare_checkout_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.cli.main.DISTRIBUTION", "no-such-distribution")
    assert installed_version() == "unknown"


def test_commands_come_from_the_entry_points_of_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.cli.main.ENTRY_POINT_GROUP", "console_scripts")
    assert ":" in registered_commands()["pytest"]
