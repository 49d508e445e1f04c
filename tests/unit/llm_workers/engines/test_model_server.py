"""What a model server may say of itself: anything but what is expected means that it says nothing. No network."""

import json
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from bus.contract.chat_work import ChatMessage
from llm_workers.engines.dialects import Dialect, estimate_tokens
from llm_workers.engines.model_server import ModelServer, ServerFacts

MESSAGES = (ChatMessage("user", "hello there"),)


async def server_that_says(answers: Mapping[str, Any]) -> ModelServer:
    def answer(request: httpx2.Request) -> httpx2.Response:
        said = answers.get(request.url.path)
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        return httpx2.Response(404 if said is None else 200, content=content)

    server = ModelServer("http://h/v1", "", is_ours=True)
    await server.aclose()
    server._client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return server


@pytest.mark.parametrize("settings", [None, [], "text", 7, {"n_ctx": "2048"}, {"n_ctx": -1}, {"n_ctx": True}])
async def test_a_server_with_strange_settings_has_a_context_that_is_not_known(settings: Any) -> None:
    server = await server_that_says({"/props": {"total_slots": 4, "default_generation_settings": settings}})
    facts = await server.facts(model="m", dialect=None)
    assert facts == ServerFacts(dialect=Dialect.LLAMA_CPP, model="m", slots=4, context_tokens=0)
    await server.aclose()


@pytest.mark.parametrize("owner", [[], {}, None, 7])
async def test_a_model_of_a_strange_owner_is_a_vendors(owner: Any) -> None:
    server = await server_that_says({"/v1/models": {"data": [{"id": "m", "owned_by": owner}]}})
    assert (await server.facts(model="m", dialect=None)).dialect is Dialect.OPENAI
    await server.aclose()


@pytest.mark.parametrize("data", [b"[" * 50_000, b"\xff", b"[]", b""])
async def test_a_list_of_models_that_is_none_names_none(data: bytes) -> None:
    server = await server_that_says({"/v1/models": data})
    assert (await server.facts(model="m", dialect=Dialect.VLLM)).model == "m"
    await server.aclose()


@pytest.mark.parametrize("tokens", [7, "text", None, {}])
async def test_where_tokens_are_not_counted_they_are_estimated(tokens: Any) -> None:
    server = await server_that_says({"/apply-template": {"prompt": "p"}, "/tokenize": {"tokens": tokens}})
    facts = ServerFacts(dialect=Dialect.LLAMA_CPP, model="m")
    assert await server.count(facts, MESSAGES, "") == estimate_tokens(MESSAGES, "")
    await server.aclose()
