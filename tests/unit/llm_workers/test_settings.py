import click
import pytest
from click.testing import CliRunner, Result

from bus.runtime.settings import click_options
from llm_workers.settings import LlmSettings


@click.command()
@click_options(LlmSettings)
def command(settings: LlmSettings) -> None:
    click.echo(f"{settings.pool} {dict(settings.engine_options())}")


def test_an_engine_gets_its_own_settings_by_name() -> None:
    assert _run(HARKEN_LLM_ENGINE_SETTINGS="dialect=vllm,x=a=b").output == "std {'dialect': 'vllm', 'x': 'a=b'}\n"


@pytest.mark.parametrize("text", ["dialect", "=vllm", "dialect=vllm,x"])
def test_an_engine_setting_without_name_or_value_is_a_usage_error(text: str) -> None:
    _assert_refused(_run(HARKEN_LLM_ENGINE_SETTINGS=text), "HARKEN_LLM_ENGINE_SETTINGS must be name=value")


@pytest.mark.parametrize("pool", ["a.b", "a b", "*", "x" * 65])
def test_a_pool_that_no_subject_could_hold_is_a_usage_error(pool: str) -> None:
    _assert_refused(_run(HARKEN_LLM_POOL=pool), "HARKEN_LLM_POOL must be 1 to 64 characters")


def test_a_base_url_without_a_scheme_is_a_usage_error() -> None:
    _assert_refused(_run(HARKEN_LLM_BASE_URL="localhost:8000/v1"), "must begin with http:// or https://")


def _assert_refused(result: Result, text: str) -> None:
    assert result.exit_code == 2
    assert text in result.output


def _run(**environ: str) -> Result:
    return CliRunner().invoke(command, env=environ)
