import pytest

from llm_workers.engines.torch_budget import (
    BLOCK_TOKENS,
    DEFAULT_CONTEXT_TOKENS,
    TorchSettings,
    cache_blocks,
    context_tokens,
    room,
    torch_settings,
)


def test_no_settings_are_the_defaults() -> None:
    assert torch_settings({}) == TorchSettings()


def test_every_setting_is_read() -> None:
    assert torch_settings(
        {
            "dtype": "float16",
            "attention": "flash_attention_2",
            "batch_tokens": "64",
            "min_p": "0.1",
            "memory_share": "0.5",
            "prompt_cache": "off",
            "cuda_graphs": "off",
        }
    ) == TorchSettings(
        dtype="float16",
        attention="flash_attention_2",
        batch_tokens=64,
        min_p=0.1,
        memory_share=0.5,
        prompt_cache=False,
        cuda_graphs=False,
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dtype": "int8"}, "dtype must be one of auto, float32, bfloat16, float16"),
        ({"min_p": "often"}, "min_p must be a number from 0 to 1"),
        ({"memory_share": "0"}, "memory_share must be a number from 0.01 to 1"),
        ({"cuda_graphs": "yes"}, "cuda_graphs must be on or off"),
        ({"top_k": "4"}, "has no setting 'top_k'; it has attention, batch_tokens, cuda_graphs"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_accepted(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        torch_settings(settings)


def test_a_context_is_what_was_asked_for_within_the_model() -> None:
    assert context_tokens(asked=1000, of_model=2048) == 1000
    assert context_tokens(asked=4096, of_model=2048) == 2048


def test_nobody_gets_the_whole_context_of_a_large_model_unasked() -> None:
    assert context_tokens(asked=0, of_model=131_072) == DEFAULT_CONTEXT_TOKENS
    assert context_tokens(asked=131_072, of_model=131_072) == 131_072


def test_an_answer_ends_with_its_limit_or_with_the_context() -> None:
    assert room(prompt=10, max_tokens=50, context=100) == 50
    assert room(prompt=70, max_tokens=50, context=100) == 30


def test_a_prompt_that_fills_the_context_leaves_no_room() -> None:
    assert room(prompt=100, max_tokens=50, context=100) == 0
    assert room(prompt=130, max_tokens=50, context=100) == 0


def test_all_slots_have_their_cache_where_it_fits() -> None:
    needed = 4 * (128 // BLOCK_TOKENS + 2)
    assert cache_blocks(slots=4, context=128, free_bytes=10**9, bytes_per_token=1000) == needed


def test_the_cache_is_as_large_as_the_memory_where_not_all_fits() -> None:
    assert cache_blocks(slots=4, context=128, free_bytes=10 * BLOCK_TOKENS * 1000, bytes_per_token=1000) == 10


def test_one_answer_must_fit() -> None:
    with pytest.raises(ValueError, match="of 1280 tokens needs 41 MiB of memory, and 9 MiB are free"):
        cache_blocks(slots=4, context=1280, free_bytes=10**7, bytes_per_token=32_600)
