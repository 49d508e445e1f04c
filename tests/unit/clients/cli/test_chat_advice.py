import pytest

from bus.contract.errors import Draining, HarkenError, InternalError, NoWorker, Unauthorized
from clients.cli.chat_advice import explain, explain_failed
from clients.failures import CannotConnect
from tests.unit.clients.events import chat_failed


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (CannotConnect("connection refused"), "harken up"),
        (NoWorker("no worker"), "harken up"),
        (Draining("going away"), "try again in a moment"),
        (Unauthorized("wrong key"), "--key"),
    ],
)
def test_an_error_comes_with_the_next_step(error: HarkenError, advice: str) -> None:
    text = explain(error)
    assert text.startswith(f"{error}. ")
    assert advice in text


def test_an_error_without_a_known_remedy_speaks_for_itself() -> None:
    assert explain(InternalError("a fault")) == "a fault"


@pytest.mark.parametrize(
    ("code", "retryable", "text"),
    [
        ("chat_failed", True, "no answer: it broke off; /retry asks again"),
        ("chat_failed", False, "no answer: it broke off"),
        ("unknown_model", False, "no answer: it broke off; /model NAME chooses one"),
        (
            "no_worker",
            True,
            "no answer: it broke off. Start one with: harken up; /retry asks again",
        ),
    ],
)
def test_a_failed_answer_says_what_can_be_typed_to_have_one(code: str, retryable: bool, text: str) -> None:
    assert explain_failed(chat_failed(1, code=code, retryable=retryable)) == text
