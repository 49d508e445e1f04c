"""What becomes of a request that has come to a worker. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bus.contract.chat_work import ChatRequest
from llm_workers.cancelled import AnswerKey, Cancelled


@dataclass(frozen=True, slots=True)
class Take:
    """It is answered; earlier attempts at the same answer end: what comes of them would be ignored."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """Nothing is said of it: nobody waits, or it is answered already."""

    reason: Literal["cancelled", "duplicate"]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Its gateway is told, and asks elsewhere."""

    reason: Literal["leaving", "no_slot", "other_model"]


Verdict: TypeAlias = Take | Ignore | Refuse


def judge(
    request: ChatRequest,
    *,
    cancelled: Cancelled,
    running: Collection[int],
    models: Collection[str],
    is_leaving: bool,
    has_slot: bool,
) -> Verdict:
    """`running` are the attempts at this answer that this worker has; `models` what it serves, under every name."""
    if cancelled.covers(AnswerKey(request.session, request.answer), request.attempt):
        return Ignore("cancelled")
    if any(attempt >= request.attempt for attempt in running):
        return Ignore("duplicate")
    if is_leaving:
        return Refuse("leaving")
    if not has_slot:
        return Refuse("no_slot")
    if request.model not in models:
        return Refuse("other_model")
    return Take()
