"""What every language model engine keeps, the scripted one, a foreign server's and the real ones alike."""

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import cast

import pytest
import pytest_asyncio

from bus.contract.chat_work import ChatMessage
from llm_workers.engines.base import Engine, EngineOptions, Event, Finished, GenerationFailed, Piece, Prompt
from llm_workers.engines.table import open_engine
from tests.contract.fake_model_server import fake_model_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOTS = 2
WITHIN_S = 60.0
SYSTEM = ChatMessage("system", "You are a helpful assistant that answers in short sentences.")
QUESTION = ChatMessage("user", "What is the capital of France, and what is it known for?")
ENDLESS = ChatMessage("user", "Tell me a very long story about the sea, with many chapters. scripted:hang")
ENGINES = [
    "scripted",
    "foreign server",
    pytest.param("llama.cpp", marks=pytest.mark.weights),
    pytest.param(
        "torch",
        marks=[
            pytest.mark.weights,
            pytest.mark.timeout(600),
            pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed"),
        ],
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    kind = request.param
    path = request.getfixturevalue("smollm2_path") if kind in ("llama.cpp", "torch") else None
    async with AsyncExitStack() as stack:
        base_url = ""
        if kind == "foreign server":
            base_url = (await stack.enter_async_context(fake_model_server())).base_url
        name = kind if kind in ("scripted", "torch") else "openai-compatible"
        options = EngineOptions(
            model_name="m", model_path=path, base_url=base_url, device="cpu", slots=SLOTS, context_tokens=1024
        )
        opened = await open_engine(name, options)
        stack.push_async_callback(opened.aclose)
        yield opened


def prompt(*messages: ChatMessage, prefill: str = "", max_tokens: int = 24, session: str = "s1") -> Prompt:
    return Prompt(session=session, messages=messages, prefill=prefill, max_tokens=max_tokens, temperature=0.0)


async def answer(engine: Engine, asked: Prompt) -> list[Event]:
    async with asyncio.timeout(WITHIN_S):
        return [event async for event in engine.generate(asked)]


def pieces_of(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Piece)]


async def test_an_engine_says_what_it_can_do(engine: Engine) -> None:
    able = engine.capabilities
    assert (able.model, able.slots, able.context_tokens, able.can_prefill) == ("m", SLOTS, 1024, True)


async def test_an_answer_is_pieces_and_one_end(engine: Engine) -> None:
    events = await answer(engine, prompt(SYSTEM, QUESTION))
    assert [type(event) for event in events] == [Piece] * (len(events) - 1) + [Finished]
    assert all(pieces_of(events))
    finished = cast(Finished, events[-1])
    assert 0 < finished.completion_tokens <= 24
    assert 0 <= finished.cached_tokens <= finished.prompt_tokens


async def test_an_answer_ends_where_it_must(engine: Engine) -> None:
    *_, finished = await answer(engine, prompt(SYSTEM, QUESTION, max_tokens=3))
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.completion_tokens) == ("length", 3)


async def test_at_temperature_zero_an_answer_is_always_the_same(engine: Engine) -> None:
    first, second = [pieces_of(await answer(engine, prompt(SYSTEM, QUESTION))) for _ in range(2)]
    assert "".join(first) == "".join(second)


async def test_an_answer_that_was_cut_and_goes_on_is_the_uncut_one(engine: Engine) -> None:
    events = await answer(engine, prompt(SYSTEM, QUESTION))
    pieces = pieces_of(events)
    assert cast(Finished, events[-1]).reason == "stop"
    for cut in range(1, len(pieces)):
        prefill = "".join(pieces[:cut])
        rest = pieces_of(await answer(engine, prompt(SYSTEM, QUESTION, prefill=prefill)))
        assert prefill + "".join(rest) == "".join(pieces)


async def test_closing_an_answer_frees_its_slot(engine: Engine) -> None:
    async with asyncio.timeout(WITHIN_S):
        for _ in range(2 * SLOTS):
            events = cast(AsyncGenerator[Event, None], engine.generate(prompt(ENDLESS, max_tokens=800)))
            async with aclosing(events):
                assert isinstance(await anext(events), Piece)
        # With a slot still taken by an answer of 800 tokens this one would come much later.
        assert pieces_of(await answer(engine, prompt(SYSTEM, QUESTION, max_tokens=4)))


async def test_cancelling_who_waits_frees_the_slot(engine: Engine) -> None:
    begun = asyncio.Queue[str]()

    async def read(session: str) -> None:
        async for _ in engine.generate(prompt(ENDLESS, max_tokens=800, session=session)):
            begun.put_nowait(session)

    async with asyncio.timeout(WITHIN_S):
        readers = [asyncio.create_task(read(f"s{number}")) for number in range(SLOTS)]
        waiting = {f"s{number}" for number in range(SLOTS)}
        while waiting:
            waiting.discard(await begun.get())
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert pieces_of(await answer(engine, prompt(SYSTEM, QUESTION, max_tokens=4)))


async def test_several_answers_at_once_do_not_mix(engine: Engine) -> None:
    questions = [ChatMessage("user", f"Say the word {word} and nothing else.") for word in ("apple", "river", "stone")]
    alone = [pieces_of(await answer(engine, prompt(SYSTEM, question, max_tokens=8))) for question in questions]
    together = await asyncio.gather(
        *(
            answer(engine, prompt(SYSTEM, question, max_tokens=8, session=f"s{number}"))
            for number, question in enumerate(questions)
        )
    )
    assert ["".join(pieces_of(events)) for events in together] == ["".join(pieces) for pieces in alone]


async def test_tokens_are_counted_as_the_engine_will_see_them(engine: Engine) -> None:
    conversation = (SYSTEM, QUESTION, ChatMessage("assistant", "Paris."), ChatMessage("user", "And of Spain?"))
    for messages, prefill in (((QUESTION,), ""), (conversation, ""), (conversation, "The capital of")):
        *_, finished = await answer(engine, prompt(*messages, prefill=prefill, max_tokens=1))
        assert isinstance(finished, Finished)
        assert abs(await engine.count_tokens(messages, prefill) - finished.prompt_tokens) <= 1


async def test_a_prompt_that_does_not_fit_is_refused_for_good(engine: Engine) -> None:
    too_long = ChatMessage("user", "secret word " * 2000)
    assert await engine.count_tokens((too_long,)) > engine.capabilities.context_tokens
    with pytest.raises(GenerationFailed) as failure:
        await answer(engine, prompt(too_long))
    assert not failure.value.retryable
    assert "secret" not in str(failure.value)


async def test_pieces_are_whole_characters(engine: Engine) -> None:
    asked = ChatMessage("user", "Repeat exactly, again and again: 😀🎉 日本語 naïve 👩‍👩‍👧")
    for piece in pieces_of(await answer(engine, prompt(asked, max_tokens=40))):
        assert "\ufffd" not in piece
        piece.encode()


async def test_a_closed_engine_breaks_off_what_runs_and_may_be_closed_again(engine: Engine) -> None:
    events = engine.generate(prompt(ENDLESS, max_tokens=800))
    async with asyncio.timeout(WITHIN_S):
        assert isinstance(await anext(events), Piece)
        await engine.aclose()
        with pytest.raises(GenerationFailed):
            async for _ in events:
                pass
        await engine.aclose()
