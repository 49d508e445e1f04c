"""What an LLM worker reads of the server that generates: streams, what the server says of itself, its refusals."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import cache
from random import Random
from unittest.mock import patch

import httpx2

from bus.contract.chat_work import ChatMessage
from llm_workers.engines.base import EngineUnavailable, GenerationFailed
from llm_workers.engines.chat_stream import ChatStream
from llm_workers.engines.dialects import Dialect
from llm_workers.engines.model_server import ModelServer, ServerFacts
from tests.fuzz.mutation import json_mutator, mutate_bytes
from tests.fuzz.target import Target

_CHUNKS = tuple(
    json.dumps(chunk).encode()
    for chunk in (
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "so far and"}, "finish_reason": None}]},
        {"choices": [{"delta": {"content": " on"}, "finish_reason": "stop"}], "id": "c", "model": "m"},
        {"choices": [{"delta": {}, "finish_reason": "length"}]},
        {
            "choices": [],
            "usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}},
        },
        {"error": {"message": "it broke", "type": "server_error", "code": 500}},
    )
)
_SAID = (
    b'{"object":"list","data":[{"id":"m","owned_by":"vllm","max_model_len":4096}]}',
    b'{"total_slots":4,"default_generation_settings":{"n_ctx":2048,"params":{}},"model_path":"x"}',
    b'{"tokens":[1,2,3],"count":3,"prompt":"text"}',
    b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}',
)
_STREAMED = json_mutator(_CHUNKS)
_SAYS = json_mutator(_SAID)
_SSE_TOKENS = (b"\n\n", b"data:", b"event: x\n", b"\r", b"\xff", b"\xef\xbb\xbf", b"\x00")
_MESSAGES = (ChatMessage("user", "hi"),)


def _lines_made(random: Random) -> bytes:
    lines = [
        _STREAMED.make(random) if random.random() < 0.3 else random.choice(_CHUNKS) for _ in range(random.randint(1, 6))
    ]
    return b"\n".join([*lines, b"[DONE]"])


def _stream(data: bytes) -> None:
    for repeats in (True, False):
        stream = ChatStream(prefill="so far", repeats_prefill=repeats, estimated_prompt_tokens=3)
        for line in data.split(b"\n"):
            piece = stream.on_data(line)
            assert piece is None or piece.text
        assert stream.end().reason in ("stop", "length")


def _response_made(random: Random) -> bytes:
    """A whole answer: its status, then its body as it comes over the network."""
    status = random.choice((b"200", b"200", b"200", b"400", b"429", b"500"))
    events = b"".join(b"data: %s\r\n\r\n" % line for line in _lines_made(random).split(b"\n"))
    body = random.choice((events, events, _SAYS.make(random)))
    if random.random() < 0.5:
        body = mutate_bytes(random, body, tokens=_SSE_TOKENS)
    return status + b"\n" + body


class _Answers:
    """A server without a network, which answers everything with the same."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        self.runner = asyncio.Runner()
        self.server = ModelServer("http://h/v1", "k", is_ours=True)
        self.server._client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer))

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        kind = {"Content-Type": "text/event-stream"} if request.url.path.endswith("completions") else {}
        return httpx2.Response(self.status, headers=kind, content=self._chunks())

    async def _chunks(self) -> AsyncIterator[bytes]:
        size = max(50, len(self.body) // 20)
        for at in range(0, len(self.body), size):
            yield self.body[at : at + size]


@cache
def _answers() -> _Answers:
    return _Answers()


def _asked(data: bytes) -> None:
    status, _, body = data.partition(b"\n")
    answers = _answers()
    answers.status = int(status) if status.isdigit() and 200 <= int(status[:4]) < 600 else 200
    answers.body = body
    with patch("llm_workers.engines.model_server.asyncio.sleep", _at_once):  # before an answer is asked for again
        answers.runner.run(_ask(answers.server))


async def _at_once(_pause_s: float) -> None:
    return None


async def _ask(server: ModelServer) -> None:
    for dialect in (None, Dialect.LLAMA_CPP, Dialect.VLLM):
        try:
            facts = await server.facts(model="m", dialect=dialect)
        except EngineUnavailable:
            facts = ServerFacts(dialect=dialect or Dialect.OPENAI, model="m")
        assert facts.slots >= 0 and facts.context_tokens >= 0
        try:
            assert await server.count(facts, _MESSAGES, "") >= 0
        except GenerationFailed:
            continue
    stream = ChatStream(prefill="", repeats_prefill=False, estimated_prompt_tokens=1)
    async for event in server.stream({"model": "m"}):
        stream.on_data(event)
    stream.end()


TARGETS = (
    Target("model_server.stream", _lines_made, _stream, (GenerationFailed,)),
    Target("model_server.responses", _response_made, _asked, (GenerationFailed,), share=0.02, prepare=_answers),
)
