"""How an upgrade is refused on each path: clients of other services read what those services would answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import msgspec

OPENAI_PATHS: Final = ("/v1/realtime", "/realtime", "/openai/v1/realtime")
DEEPGRAM_PATH: Final = "/v1/listen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why there is no WebSocket. `code` is ours; `message` is ASCII and holds no key."""

    status: HTTPStatus
    code: str
    message: str
    retry_after_s: int | None = None
    """Advice, where the same request may succeed later."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpelledRefusal:
    """The parts of the HTTP answer that a protocol decides."""

    body: bytes
    headers: Mapping[str, str]


def spell(path: str, refusal: Refusal, request_id: str) -> SpelledRefusal:
    """The answer as the clients on `path` know it. `request_id` is shown where they expect one."""
    return _SPELLINGS.get(path, _native)(refusal, request_id)


def _native(refusal: Refusal, request_id: str) -> SpelledRefusal:
    body = {"error": {"code": refusal.code, "message": refusal.message}}
    return SpelledRefusal(msgspec.json.encode(body), _headers(refusal))


def _openai(refusal: Refusal, request_id: str) -> SpelledRefusal:
    is_ours = refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    error = {
        "message": refusal.message,
        "type": "server_error" if is_ours else "invalid_request_error",
        "code": "invalid_api_key" if refusal.status == HTTPStatus.UNAUTHORIZED else refusal.code,
        "param": None,
    }
    return SpelledRefusal(msgspec.json.encode({"error": error}), _headers(refusal))


def _deepgram(refusal: Refusal, request_id: str) -> SpelledRefusal:
    code = "INVALID_AUTH" if refusal.status == HTTPStatus.UNAUTHORIZED else refusal.code.upper()
    body = {"err_code": code, "err_msg": refusal.message, "request_id": request_id}
    # Few WebSocket libraries show the body of a refused upgrade.
    headers = {"dg-request-id": request_id, "dg-error": refusal.message}
    return SpelledRefusal(msgspec.json.encode(body), {**_headers(refusal), **headers})


def _headers(refusal: Refusal) -> Mapping[str, str]:
    if refusal.retry_after_s is None:
        return refusal.headers
    return {**refusal.headers, "Retry-After": str(refusal.retry_after_s)}


_SPELLINGS: Final[Mapping[str, Callable[[Refusal, str], SpelledRefusal]]] = {
    **dict.fromkeys(OPENAI_PATHS, _openai),
    DEEPGRAM_PATH: _deepgram,
}
"""Every other path refuses as the native protocol does. Clients of WhisperLive read no answer but the status."""
