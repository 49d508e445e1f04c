from pathlib import Path

import pytest

from bus.control.chat_weights import DEFAULT_CHAT_MODEL, chat_weights, starts_llama
from llm_workers.settings import LlmSettings


def test_the_default_is_that_of_the_worker() -> None:
    assert LlmSettings().model == DEFAULT_CHAT_MODEL
    assert starts_llama({"HARKEN_LLM_ENGINE": LlmSettings().engine})


def test_a_model_is_fetched_by_its_name() -> None:
    assert chat_weights("smollm2", {}) == ("smollm2",)
    assert chat_weights("smollm2", {"HARKEN_LLM_BASE_URL": ""}) == ("smollm2",)


@pytest.mark.parametrize("environ", [{"HARKEN_LLM_BASE_URL": "http://vllm:8000/v1"}, {"HARKEN_LLM_ENGINE": "scripted"}])
def test_nothing_is_fetched_where_a_server_has_the_weights_or_nobody_needs_any(environ: dict[str, str]) -> None:
    assert chat_weights("smollm2", environ) == ()
    assert not starts_llama(environ)


def test_a_path_is_left_to_the_worker(tmp_path: Path) -> None:
    assert chat_weights(str(tmp_path), {}) == ()


def test_llama_is_not_needed_for_another_engine() -> None:
    assert starts_llama({})
    assert not starts_llama({"HARKEN_LLM_ENGINE": "torch"})
