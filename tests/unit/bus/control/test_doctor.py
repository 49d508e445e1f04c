import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bus.control.doctor import doctor
from bus.control.probes import free_port


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    environment = {"HARKEN_CACHE_DIR": str(tmp_path / "cache"), "XDG_DATA_HOME": str(tmp_path), "NATS_URL": None}
    return CliRunner(env=environment)


def test_warnings_alone_are_exit_status_0_and_the_table_says_what_to_do(runner: CliRunner) -> None:
    result = runner.invoke(doctor, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "harken models pull base" in result.stdout


def test_json_holds_every_finding(runner: CliRunner) -> None:
    result = runner.invoke(doctor, ["--json"])
    report = json.loads(result.stdout)
    assert report["ok"] is True
    checks = [f["check"] for f in report["findings"]]
    assert checks[:6] == ["python", "nats-server", "model base", "model silero-vad", "model smollm2", "llama.cpp"]
    assert set(report["findings"][0]) == {"check", "level", "detail", "advice"}


def test_with_a_server_for_chat_nothing_of_ours_is_looked_for(runner: CliRunner) -> None:
    result = runner.invoke(doctor, ["--json"], env={"HARKEN_LLM_BASE_URL": "http://127.0.0.1:9/v1"})
    checks = [f["check"] for f in json.loads(result.stdout)["findings"]]
    assert not {"model smollm2", "llama.cpp"} & set(checks)


def test_a_nats_url_that_leads_nowhere_is_exit_status_1(runner: CliRunner) -> None:
    url = f"nats://127.0.0.1:{free_port('127.0.0.1')}"
    result = runner.invoke(doctor, ["--json"], env={"NATS_URL": url})
    assert result.exit_code == 1
    failed = [f["check"] for f in json.loads(result.stdout)["findings"] if f["level"] == "FAIL"]
    assert failed == ["NATS_URL"]


def test_an_unknown_model_is_exit_status_1(runner: CliRunner) -> None:
    assert runner.invoke(doctor, ["--model", "whisper-huge"]).exit_code == 1


def test_a_certificate_of_the_environment_is_looked_at(runner: CliRunner, tmp_path: Path) -> None:
    environ = {"HARKEN_GATEWAY_TLS_CERT": str(tmp_path / "none"), "HARKEN_GATEWAY_TLS_KEY": str(tmp_path / "none")}
    result = runner.invoke(doctor, ["--json"], env=environ)
    assert result.exit_code == 1
    finding = next(f for f in json.loads(result.stdout)["findings"] if f["check"] == "tls")
    assert "cannot be read" in finding["detail"]
