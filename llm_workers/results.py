"""From a request to what the gateway is told of it. Pure."""

from typing import Literal, TypeAlias, assert_never

from bus.contract.chat_work import (
    BUSY,
    LEAVING,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ChatRequest,
    ChatTaken,
    ChatTimings,
    ChatUsage,
)
from bus.contract.errors import ChatFailed as ChatFailedError
from bus.contract.errors import InvalidMessage, UnknownModel
from llm_workers.budget import Fitted
from llm_workers.cancelled import AnswerKey
from llm_workers.deltas import Gathered
from llm_workers.engines.base import Finished, Prompt

BROKEN_AFTER = 5
"""Answers that the engine fails in a row before it counts as broken."""

Failure: TypeAlias = tuple[str, str, bool]
"""Code, message and whether to try again."""

NO_SLOT: Failure = (BUSY, "this worker has no free slot", True)
DRAINING: Failure = (LEAVING, "this worker is going away", True)
LATE: Failure = (ChatFailedError.code, "the answer took longer than its deadline", True)
SILENT: Failure = (ChatFailedError.code, "the model fell silent", True)
ENGINE_GONE: Failure = (ChatFailedError.code, "the model's process ended", True)
BUS_LOST: Failure = (ChatFailedError.code, "the worker lost its connection to the bus", True)
INTERNAL: Failure = (ChatFailedError.code, "the worker failed", True)
CANNOT_CONTINUE: Failure = (ChatFailedError.code, "this model's server cannot go on after a given beginning", False)
TOO_LONG: Failure = (InvalidMessage.code, "the last turn is too long for the model's context", False)


def key_of(request: ChatRequest) -> AnswerKey:
    """The answer that a request is an attempt at."""
    return AnswerKey(request.session, request.answer)


def refusal(reason: Literal["leaving", "no_slot", "other_model"], *, served: str) -> Failure:
    """Why a worker that serves the model `served` does not take a request."""
    match reason:
        case "leaving":
            return DRAINING
        case "no_slot":
            return NO_SLOT
        case "other_model":
            return (UnknownModel.code, f"this worker serves {served}", UnknownModel.retryable)
        case _:
            assert_never(reason)


def broke_off(message: str, *, retryable: bool) -> Failure:
    """Why an answer that the engine gave up fails. `message` holds no user words."""
    return (ChatFailedError.code, message, retryable)


def prompt_of(request: ChatRequest, fitted: Fitted) -> Prompt:
    """The engine's view of a request."""
    return Prompt(
        session=request.session,
        messages=fitted.messages,
        prefill=request.prefill,
        max_tokens=fitted.max_tokens,
        temperature=request.temperature,
    )


def taken(request: ChatRequest, *, worker: str, model: str) -> ChatTaken:
    """The first word."""
    return ChatTaken(
        session=request.session, answer=request.answer, attempt=request.attempt, worker=worker, model=model
    )


def delta(request: ChatRequest, gathered: Gathered, *, seq: int) -> ChatDelta:
    """The next piece."""
    return ChatDelta(
        session=request.session,
        answer=request.answer,
        attempt=request.attempt,
        seq=seq,
        text=gathered.text,
        tokens=gathered.pieces,
    )


def done(
    request: ChatRequest, finished: Finished, *, deltas: int, timings: ChatTimings, worker: str, model: str
) -> ChatDone:
    """The last word of an answer that is complete."""
    return ChatDone(
        session=request.session,
        answer=request.answer,
        attempt=request.attempt,
        deltas=deltas,
        finish_reason=finished.reason,
        usage=ChatUsage(
            prompt_tokens=finished.prompt_tokens,
            completion_tokens=finished.completion_tokens,
            cached_tokens=finished.cached_tokens,
        ),
        timings=timings,
        model=model,
        worker=worker,
    )


def failed(request: ChatRequest, failure: Failure, *, worker: str) -> ChatFailed:
    """The last word of one that is not."""
    code, message, retryable = failure
    return ChatFailed(
        session=request.session,
        answer=request.answer,
        attempt=request.attempt,
        code=code,
        message=message,
        retryable=retryable,
        worker=worker,
    )
