import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_workers.engines.base import EngineOptions, EngineUnavailable, Event, Finished, GenerationFailed, Piece, Prompt
from llm_workers.engines.scripted import ScriptedEngine, expected_answer
from tests.unit.llm_workers.requests import said


def prompt(text: str, *, prefill: str = "", max_tokens: int = 100) -> Prompt:
    return Prompt(session="s1", messages=(said("user", text),), prefill=prefill, max_tokens=max_tokens, temperature=0)


async def answer(asked: Prompt, **options: str) -> list[Event]:
    engine = await ScriptedEngine.open(EngineOptions(model_name="m", settings=options))
    return [event async for event in engine.generate(asked)]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))


async def test_the_answer_says_what_was_asked_and_how_far_it_has_come() -> None:
    events = await answer(prompt("hello there scripted:tokens=3"))
    assert text_of(events) == "hello.1 there.2 hello.3" == expected_answer("hello there scripted:tokens=3")
    assert events[-1] == Finished(reason="stop", prompt_tokens=4, completion_tokens=3)


async def test_an_answer_that_is_cut_says_so() -> None:
    events = await answer(prompt("hello", max_tokens=2))
    assert text_of(events) == "hello.1 hello.2"
    assert events[-1] == Finished(reason="length", prompt_tokens=2, completion_tokens=2)


@settings(deadline=None)
@given(st.integers(0, 400))
def test_cut_anywhere_and_continued_it_is_the_uncut_one(cut: int) -> None:
    whole = expected_answer("how are you")
    assert whole[:cut] + text_of(asyncio.run(answer(prompt("how are you", prefill=whole[:cut])))) == whole


async def test_it_can_be_told_to_fail_after_three_tokens_or_to_refuse() -> None:
    engine = await ScriptedEngine.open(EngineOptions(model_name="m"))
    for text, tokens, retryable in (("hi scripted:fail", 3, True), ("hi scripted:refuse", 0, False)):
        came: list[Event] = []
        with pytest.raises(GenerationFailed) as failure:
            async for event in engine.generate(prompt(text)):
                came.append(event)  # noqa: PERF401 - what came before the failure counts
        assert (len(came), failure.value.retryable) == (tokens, retryable)


async def test_a_setting_that_is_no_number_is_refused() -> None:
    with pytest.raises(EngineUnavailable, match="tokens_per_s"):
        await answer(prompt("hi"), tokens_per_s="fast")
