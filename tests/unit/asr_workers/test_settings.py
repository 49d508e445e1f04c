import click
import pytest
from click.testing import CliRunner, Result

from asr_workers.settings import AsrSettings
from bus.runtime.settings import click_options


@click.command()
@click_options(AsrSettings)
def command(settings: AsrSettings) -> None:
    click.echo(settings.pool)


@pytest.mark.parametrize("pool", ["a.b", "a b", "*", "x" * 65])
def test_a_pool_that_no_subject_could_hold_is_a_usage_error(pool: str) -> None:
    result = _run(HARKEN_ASR_POOL=pool)
    assert result.exit_code == 2
    assert "HARKEN_ASR_POOL must be 1 to 64 characters" in result.output


def test_a_pool_may_be_any_one_token_of_a_subject() -> None:
    assert _run(HARKEN_ASR_POOL="large_de-1").output == "large_de-1\n"


def test_a_metrics_port_that_cannot_be_is_a_usage_error() -> None:
    result = _run(HARKEN_ASR_METRICS_PORT="70000")
    assert result.exit_code == 2
    assert "--metrics-port" in result.output


def _run(**environ: str) -> Result:
    return CliRunner().invoke(command, env=environ)
