"""The HTTP side of a model server: what it is, what it counts, and its streams."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.request import getproxies

import httpx2

from bus.contract.chat_work import ChatMessage
from llm_workers.engines.base import EngineUnavailable, GenerationFailed
from llm_workers.engines.chat_stream import error_type
from llm_workers.engines.dialects import Dialect, continuation, estimate_tokens, wire_messages
from llm_workers.engines.event_stream import EventStream, EventTooLong
from llm_workers.engines.plain_http import PlainTransport
from llm_workers.engines.retries import Retries, is_busy, is_passing

_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 300.0
"""Of silence in a stream. Who waits has less patience; this ends what nobody waits for."""
_ASK_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 4.0
_EVENT_STREAM = "text/event-stream"
_CONTEXT_ERRORS = ("exceed_context_size_error", "context_length_exceeded")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server says of itself; 0 where it does not."""

    dialect: Dialect
    model: str
    """As it wants to be asked for."""
    slots: int = 0
    context_tokens: int = 0


class ModelServer:
    """One server, by its base URL (up to and with `/v1`). Loop thread only; calls may be made concurrently.

    `is_ours`: no proxy that the environment names stands before it.
    """

    def __init__(self, base_url: str, api_key: str, *, is_ours: bool) -> None:
        self._base_url = base_url
        self._root = base_url.removesuffix("/v1")
        is_plain = base_url.startswith("http://")
        # llama.cpp ends a connection after a stream without saying so, and the next request on it would be lost. On
        # plain HTTP another connection costs nothing; over TLS it does, and what is lost is tried again.
        kept = 0 if is_plain else None
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx2.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
            trust_env=not is_ours,
            limits=httpx2.Limits(max_keepalive_connections=kept, keepalive_expiry=_KEEP_ALIVE_S),
            transport=PlainTransport() if is_plain and (is_ours or not _has_proxy()) else None,
        )

    async def facts(self, *, model: str, dialect: Dialect | None) -> ServerFacts:
        """Ask what it is; `dialect` overrules what it looks like. Raises EngineUnavailable."""
        listed = await self._models()
        props = await self._get(f"{self._root}/props") if dialect in (None, Dialect.LLAMA_CPP) else None
        if dialect is None:
            dialect = _looks_like(listed, props)
        model = _choose(model, listed)
        if dialect is Dialect.LLAMA_CPP and props is not None:
            settings = props.get("default_generation_settings")
            return ServerFacts(
                dialect=dialect,
                model=model,
                slots=_whole(props.get("total_slots")),
                context_tokens=_whole(settings.get("n_ctx")) if isinstance(settings, dict) else 0,
            )
        entry = next((entry for entry in listed if entry.get("id") == model), {})
        return ServerFacts(dialect=dialect, model=model, context_tokens=_whole(entry.get("max_model_len")))

    async def count(self, facts: ServerFacts, messages: tuple[ChatMessage, ...], prefill: str) -> int:
        """Tokens of a prompt, by the server if it can count. Raises GenerationFailed."""
        wire = wire_messages(messages, prefill)
        if facts.dialect is Dialect.LLAMA_CPP:
            applied = await self._post(f"{self._root}/apply-template", {"messages": wire})
            body = {"content": applied.get("prompt", ""), "add_special": True, "parse_special": True}
            tokens = (await self._post(f"{self._root}/tokenize", body)).get("tokens")
            return len(tokens) if isinstance(tokens, list) else estimate_tokens(messages, prefill)
        if facts.dialect is Dialect.VLLM:
            body = {"model": facts.model, "messages": wire, **continuation(facts.dialect, prefill)}
            return _whole((await self._post(f"{self._root}/tokenize", body)).get("count"))
        return estimate_tokens(messages, prefill)

    async def stream(self, body: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """The data of the events of one streamed answer. Tries again until the first of them came, after it never.

        Closing the iterator closes the connection, and so ends the server's work. Raises GenerationFailed.
        """
        retries = Retries()
        while True:
            came = False
            try:
                async with aclosing(self._stream_once(body, retries)) as events:
                    async for data in events:
                        came = True
                        yield data
                return
            except _Again as again:
                await asyncio.sleep(again.pause_s)
            except httpx2.TransportError as error:
                pause_s = None if came else retries.after_refusal()
                if pause_s is None:
                    reason = type(error).__name__
                    raise GenerationFailed(f"the connection to the server failed: {reason}", retryable=True) from None
                await asyncio.sleep(pause_s)

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        await self._client.aclose()

    async def _stream_once(self, body: dict[str, Any], retries: Retries) -> AsyncGenerator[bytes, None]:
        async with self._client.stream("POST", f"{self._base_url}/chat/completions", json=body) as response:
            if response.status_code != httpx2.codes.OK:
                await response.aread()
                pause_s = retries.after_status(response.status_code, response.headers.get("retry-after"))
                if pause_s is not None:
                    raise _Again(pause_s)
                raise _refusal(response)
            if not response.headers.get("content-type", "").strip().lower().startswith(_EVENT_STREAM):
                raise httpx2.RemoteProtocolError("the answer is no stream of events")
            events = EventStream()
            try:
                async for received in response.aiter_bytes():
                    for data in events.feed(received):
                        yield data
            except EventTooLong:
                raise httpx2.RemoteProtocolError("an event is too long") from None

    async def _models(self) -> list[dict[str, Any]]:
        try:
            response = await self._client.get(f"{self._base_url}/models", timeout=_ASK_TIMEOUT_S)
        except httpx2.InvalidURL:
            raise EngineUnavailable("the base URL of the model server is malformed") from None
        except httpx2.TransportError as error:
            raise EngineUnavailable(f"the model server cannot be reached: {type(error).__name__}") from None
        if response.status_code in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            raise EngineUnavailable("the model server refuses the key")
        if is_passing(response.status_code):
            raise EngineUnavailable(f"the model server is not ready: status {response.status_code}")
        listed = _json_object(response).get("data")
        return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []

    async def _get(self, url: str) -> dict[str, Any] | None:
        try:
            response = await self._client.get(url, timeout=_ASK_TIMEOUT_S)
        except httpx2.TransportError:
            return None
        return _json_object(response) if response.status_code == httpx2.codes.OK else None

    async def _post(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            response = await self._client.post(url, json=body, timeout=_ASK_TIMEOUT_S)
        except httpx2.TransportError as error:
            reason = type(error).__name__
            raise GenerationFailed(f"the server did not count tokens: {reason}", retryable=True) from None
        if response.status_code != httpx2.codes.OK:
            raise _refusal(response)
        return _json_object(response)


class _Again(Exception):
    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s


def _has_proxy() -> bool:
    """Whether the environment may name one for plain HTTP; then httpx decides."""
    return not getproxies().keys().isdisjoint(("http", "all"))


def _refusal(response: httpx2.Response) -> GenerationFailed:
    kind = error_type(_json_object(response).get("error"))
    if kind in _CONTEXT_ERRORS:
        return GenerationFailed("the prompt does not fit the context", retryable=False)
    text = f"the server refused with status {response.status_code}: {kind}"
    passing, busy = is_passing(response.status_code), is_busy(response.status_code)
    return GenerationFailed(text, retryable=passing, by_engine=passing and not busy)


def _json_object(response: httpx2.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _looks_like(listed: list[dict[str, Any]], props: dict[str, Any] | None) -> Dialect:
    if props is not None and "total_slots" in props:
        return Dialect.LLAMA_CPP
    owners = [entry.get("owned_by") for entry in listed]
    return next((dialect for dialect in (Dialect.VLLM, Dialect.SGLANG) if dialect.value in owners), Dialect.OPENAI)


def _choose(model: str, listed: list[dict[str, Any]]) -> str:
    """The name that the server knows the model by: its own if it has but one."""
    names = [name for entry in listed if isinstance(name := entry.get("id"), str)]
    if model in names or not names:
        return model
    if len(names) == 1:
        return names[0]
    raise EngineUnavailable(f"the model server has no {model!r}; it has {', '.join(sorted(names)[:10])}")


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
