from typing import Any

import pytest

from llm_workers.engines.base import Prompt
from llm_workers.engines.dialects import Dialect, chat_body, estimate_tokens
from tests.unit.llm_workers.requests import said

CONTINUE = {"add_generation_prompt": False, "continue_final_message": True}


def body(dialect: Dialect, prefill: str) -> dict[str, Any]:
    prompt = Prompt(session="s1", messages=(said("user", "hi"),), prefill=prefill, max_tokens=7, temperature=0.5)
    return chat_body(dialect, model="x", prompt=prompt)


@pytest.mark.parametrize("dialect", Dialect)
def test_every_server_is_asked_for_a_stream_with_its_usage(dialect: Dialect) -> None:
    asked = body(dialect, "")
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("x", 7, 0.5)
    assert (asked["stream"], asked["stream_options"]) == (True, {"include_usage": True})
    assert asked["messages"] == [{"role": "user", "content": "hi"}]
    assert not set(CONTINUE) & set(asked)


@pytest.mark.parametrize(
    ("dialect", "extra"), [(Dialect.LLAMA_CPP, {}), (Dialect.VLLM, CONTINUE), (Dialect.SGLANG, CONTINUE)]
)
def test_a_beginning_is_a_trailing_message_that_the_server_is_told_to_continue(
    dialect: Dialect, extra: dict[str, bool]
) -> None:
    asked = body(dialect, "Hel")
    assert asked["messages"][-1] == {"role": "assistant", "content": "Hel"}
    assert {name: asked[name] for name in CONTINUE if name in asked} == extra


def test_a_server_that_notices_who_has_gone_only_when_it_speaks_is_made_to_speak_while_it_reads() -> None:
    assert [dialect for dialect in Dialect if body(dialect, "").get("return_progress")] == [Dialect.LLAMA_CPP]


def test_only_servers_that_are_known_to_continue_are_said_to() -> None:
    assert [dialect for dialect in Dialect if not dialect.can_prefill] == [Dialect.OPENAI]
    assert Dialect.LLAMA_CPP.caches_prompts


def test_an_estimate_is_above_what_tokenizers_make_of_ordinary_text() -> None:
    english = "The quick brown fox jumps over the lazy dog, and nobody minds at all."  # 16 tokens
    japanese = "今日はとても良い天気ですね。"  # 14 characters
    assert 16 <= estimate_tokens((said("user", english),), "") <= 60
    assert 14 <= estimate_tokens((said("user", japanese),), "") <= 60
    assert estimate_tokens((said("user", ""),), english) >= 16
