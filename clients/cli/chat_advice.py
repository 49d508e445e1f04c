"""What to tell a person about an error of a chat, and what to do about it. Pure."""

from typing import Final

from bus.contract.client_protocol import ChatFailed
from bus.contract.errors import Draining, HarkenError, NoWorker, Unauthorized, UnknownModel
from clients.failures import CannotConnect

CUT_NOTE: Final = "(cut: the answer has as many tokens as --max-tokens or the model allow)"
_NO_WORKER_ADVICE: Final = "Start one with: harken up"


def explain(error: HarkenError) -> str:
    """Say what happened, and the next step where one is known."""
    match error:
        case CannotConnect():
            return f"{error}. Is the service running? Start it with: harken up"
        case NoWorker():
            return f"{error}. {_NO_WORKER_ADVICE}"
        case Draining():
            return f"{error}. It is being stopped or replaced: try again in a moment"
        case Unauthorized():
            return f"{error}. Give the key with --key or HARKEN_API_KEY"
        case _:
            return str(error)


def explain_failed(failed: ChatFailed) -> str:
    """Say why an answer has no end, and what can be typed to have one."""
    text = f"no answer: {failed.message}"
    if failed.code == NoWorker.code:
        text += f". {_NO_WORKER_ADVICE}"
    if failed.code == UnknownModel.code:
        text += "; /model NAME chooses one"
    return f"{text}; /retry asks again" if failed.retryable else text
