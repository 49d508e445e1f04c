import json
from http import HTTPStatus
from typing import Any

import pytest

from stream_gateway.dialects.refusals import Refusal, spell

NO_KEY = Refusal(status=HTTPStatus.UNAUTHORIZED, code="unauthorized", message="a valid key is needed")
FULL = Refusal(status=HTTPStatus.SERVICE_UNAVAILABLE, code="overloaded", message="try again later", retry_after_s=5)
NO_SOCKET = Refusal(
    status=HTTPStatus.UPGRADE_REQUIRED, code="upgrade_required", message="ws://", headers={"Upgrade": "websocket"}
)
ALL_PATHS = ("/v1/stream", "/", "/whisperlive", "/v1/realtime", "/realtime", "/openai/v1/realtime", "/v1/listen", "/x")


def body(path: str, refusal: Refusal) -> Any:
    return json.loads(spell(path, refusal, "r1").body)


@pytest.mark.parametrize("path", ["/v1/stream", "/", "/whisperlive", "/elsewhere"])
def test_the_native_form_is_a_code_and_a_text(path: str) -> None:
    assert body(path, NO_KEY) == {"error": {"code": "unauthorized", "message": "a valid key is needed"}}


@pytest.mark.parametrize("path", ["/v1/realtime", "/realtime", "/openai/v1/realtime"])
def test_clients_of_openai_find_the_fields_and_the_code_they_know(path: str) -> None:
    assert body(path, NO_KEY) == {
        "error": {
            "message": "a valid key is needed",
            "type": "invalid_request_error",
            "code": "invalid_api_key",
            "param": None,
        }
    }
    assert body(path, FULL) == {
        "error": {"message": "try again later", "type": "server_error", "code": "overloaded", "param": None}
    }
    assert body(path, NO_SOCKET)["error"]["type"] == "invalid_request_error"


def test_clients_of_deepgram_find_body_and_headers_they_know() -> None:
    spelled = spell("/v1/listen", NO_KEY, "r1")
    assert json.loads(spelled.body) == {
        "err_code": "INVALID_AUTH",
        "err_msg": "a valid key is needed",
        "request_id": "r1",
    }
    assert spelled.headers == {"dg-request-id": "r1", "dg-error": "a valid key is needed"}
    assert body("/v1/listen", FULL)["err_code"] == "OVERLOADED"


@pytest.mark.parametrize("path", ALL_PATHS)
def test_every_form_says_when_to_come_again_and_what_to_upgrade_to(path: str) -> None:
    assert spell(path, FULL, "r1").headers["Retry-After"] == "5"
    assert spell(path, NO_SOCKET, "r1").headers["Upgrade"] == "websocket"
    assert "Retry-After" not in spell(path, NO_KEY, "r1").headers
