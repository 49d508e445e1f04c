"""How the engine for foreign servers meets what they do wrong: on real sockets."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import pytest

from bus.contract.chat_work import ChatMessage
from llm_workers.engines import retries
from llm_workers.engines.base import EngineOptions, EngineUnavailable, Event, GenerationFailed, Piece, Prompt
from llm_workers.engines.openai_compatible import OpenAiCompatibleEngine
from llm_workers.engines.scripted import expected_answer
from tests.contract.fake_model_server import (
    CONTEXT_TOKENS,
    HANG,
    FakeModelServer,
    HangUp,
    Say,
    Status,
    fake_model_server,
)

WITHIN_S = 10.0
EXPECTED = expected_answer("hello there")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeModelServer]:
    monkeypatch.setattr(retries, "_PAUSES_S", (0.0, 0.0, 0.0))
    async with fake_model_server() as fake:
        yield fake


async def open_on(server: FakeModelServer, **fields: Any) -> OpenAiCompatibleEngine:
    wanted: dict[str, Any] = {"model_name": "m", "base_url": server.base_url, "api_key": "a-key"}
    return await OpenAiCompatibleEngine.open(EngineOptions(**(wanted | fields)))


def prompt(text: str = "hello there", **fields: Any) -> Prompt:
    wanted: dict[str, Any] = {
        "session": "s1",
        "messages": (ChatMessage("user", text),),
        "max_tokens": 100,
        "temperature": 0.0,
    }
    return Prompt(**(wanted | fields))


async def text_of(engine: OpenAiCompatibleEngine, asked: Prompt) -> str:
    async with asyncio.timeout(WITHIN_S):
        return "".join([event.text async for event in engine.generate(asked) if isinstance(event, Piece)])


async def failure_of(engine: OpenAiCompatibleEngine, asked: Prompt) -> GenerationFailed:
    with pytest.raises(GenerationFailed) as failure:
        await text_of(engine, asked)
    assert "secret" not in str(failure.value)
    return failure.value


async def test_the_key_and_the_servers_own_name_of_the_model_are_used(server: FakeModelServer) -> None:
    engine = await open_on(server, model_name="assistant")
    assert await text_of(engine, prompt()) == EXPECTED
    assert (engine.capabilities.model, engine.capabilities.context_tokens) == ("assistant", CONTEXT_TOKENS)
    assert (server.asked[-1]["model"], server.keys) == ("m", {"bearer a-key"})
    await engine.aclose()


@pytest.mark.parametrize("fault", [Status(503), Status(429, ("Retry-After: 0",)), Status(500), HangUp()], ids=str)
async def test_what_may_pass_is_tried_again_before_the_first_token(server: FakeModelServer, fault: Any) -> None:
    engine = await open_on(server)
    server.faults.extend([fault] * 3)
    assert await text_of(engine, prompt()) == EXPECTED
    await engine.aclose()


@pytest.mark.parametrize("fault", [Status(503), HangUp()], ids=str)
async def test_but_not_for_ever(server: FakeModelServer, fault: Any) -> None:
    engine = await open_on(server)
    server.faults.extend([fault] * 4)
    assert (await failure_of(engine, prompt())).retryable
    await engine.aclose()


@pytest.mark.parametrize(
    "body",
    ['{"error": {"type": "secret words"}}', '{"error": "secret words"}', "secret words", '["secret words"]'],
)
async def test_a_refusal_is_told_without_the_servers_words(server: FakeModelServer, body: str) -> None:
    engine = await open_on(server)
    server.faults.append(Status(400, body=body))
    failure = await failure_of(engine, prompt())
    assert (failure.retryable, "status 400" in str(failure)) == (False, True)
    await engine.aclose()


async def test_after_the_first_piece_nothing_is_tried_again(server: FakeModelServer) -> None:
    engine = await open_on(server)
    before = len(server.asked)
    server.faults.append(HangUp(after=2))
    assert (await failure_of(engine, prompt())).retryable
    assert len(server.asked) == before + 1
    await engine.aclose()


@pytest.mark.parametrize("data", ['{"error": {"type": "server_error", "message": "secret"}}', "secret garbage"])
async def test_an_error_in_mid_stream_breaks_the_answer_off(server: FakeModelServer, data: str) -> None:
    engine = await open_on(server)
    server.faults.append(Say(data))
    assert (await failure_of(engine, prompt())).retryable
    await engine.aclose()


async def test_a_server_that_repeats_the_beginning_is_found_out_and_it_is_taken_off(server: FakeModelServer) -> None:
    server.repeats_prefill = True
    engine = await open_on(server)
    assert EXPECTED[:13] + await text_of(engine, prompt(prefill=EXPECTED[:13])) == EXPECTED
    await engine.aclose()


async def test_closing_an_answer_closes_its_connection(server: FakeModelServer) -> None:
    engine = await open_on(server)
    async with asyncio.timeout(WITHIN_S):
        events = cast(AsyncGenerator[Event, None], engine.generate(prompt(f"hello {HANG}")))
        async with aclosing(events):
            await anext(events)
            assert not server.left.is_set()
        await server.left.wait()
    await engine.aclose()


async def test_a_server_of_unknown_kind_is_not_asked_to_go_on_and_its_tokens_are_estimated(
    server: FakeModelServer,
) -> None:
    server.owner = "somebody"
    engine = await open_on(server)
    assert server.asked == [], "a vendor's tokens cost money: nothing is asked at the start"
    assert (engine.capabilities.can_prefill, engine.capabilities.slots) == (False, 8)
    assert await engine.count_tokens((ChatMessage("user", "hello there"),)) > 2
    assert not (await failure_of(engine, prompt(prefill="hello.1"))).retryable
    assert await text_of(engine, prompt()) == EXPECTED
    await engine.aclose()


async def test_the_dialect_may_be_stated(server: FakeModelServer) -> None:
    server.owner = "somebody"
    engine = await open_on(server, settings={"dialect": "sglang"}, slots=3, context_tokens=500)
    able = engine.capabilities
    assert (able.can_prefill, able.slots, able.context_tokens) == (True, 3, 500)
    assert EXPECTED[:13] + await text_of(engine, prompt(prefill=EXPECTED[:13])) == EXPECTED
    await engine.aclose()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"dialect": "klingon"}, "known are llama.cpp, vllm, sglang, openai"),
        ({"dilect": "vllm"}, "unknown engine settings dilect"),
    ],
)
async def test_settings_that_mean_nothing_are_refused(
    server: FakeModelServer, settings: dict[str, str], text: str
) -> None:
    with pytest.raises(EngineUnavailable, match=text):
        await open_on(server, settings=settings)


async def test_a_server_that_fails_its_first_answer_is_not_taken(server: FakeModelServer) -> None:
    server.faults.append(Status(400))
    with pytest.raises(EngineUnavailable, match="the first answer failed"):
        await open_on(server)


async def test_a_server_that_is_not_there_is_named_as_the_reason() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = FakeModelServer(port=probe.getsockname()[1])
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        await open_on(gone)
