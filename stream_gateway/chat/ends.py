"""How answers end: what a client is told of it, and the turn that is kept of it; each follows from the other. Pure."""

from typing import Literal, TypeAlias, assert_never

from bus.contract.chat_work import ChatDone as WorkDone
from bus.contract.client_protocol import ChatTimes, ChatUsage
from bus.contract.errors import ChatFailed
from bus.contract.records import ChatTurn
from stream_gateway.session import events

AnswerEnd: TypeAlias = events.ChatDone | events.ChatCancelled | events.ChatFailed
End: TypeAlias = Literal["complete", "length", "cancelled", "failed"]

_NO_USAGE = ChatUsage(prompt_tokens=0, completion_tokens=0, cached_tokens=0)
_UNKNOWN_TIMES = ChatTimes(queue_s=0.0, prefill_s=0.0, first_delta_s=0.0, total_s=0.0)
"""Of an answer that is told from the record."""


def done_of(answer: int, text: str, done: WorkDone, *, first_delta_s: float, total_s: float) -> events.ChatDone:
    """What is told of a complete answer; `text` is all of it, over all attempts."""
    return events.ChatDone(
        answer=answer,
        text=text,
        finish_reason=done.finish_reason,
        usage=ChatUsage(
            prompt_tokens=done.usage.prompt_tokens,
            completion_tokens=done.usage.completion_tokens,
            cached_tokens=done.usage.cached_tokens,
        ),
        times=ChatTimes(
            queue_s=done.timings.queue_s,
            prefill_s=done.timings.prefill_s,
            first_delta_s=first_delta_s,
            total_s=total_s,
        ),
        model=done.model,
    )


def turn_of(end: AnswerEnd, *, turn: int, tenant: str, session: str, model: str, id: str | None) -> ChatTurn:
    """What is kept of an answer, as turn number `turn`. `model` and `id` are those of its start."""
    usage = end.usage if isinstance(end, events.ChatDone) else _NO_USAGE
    return ChatTurn(
        tenant=tenant,
        session=session,
        turn=turn,
        role="assistant",
        text=end.text,
        source="model",
        answer=end.answer,
        end=_kind_of(end),
        model=model,
        id=id,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
    )


def end_of(turn: ChatTurn) -> AnswerEnd:
    """What is told of the end of an answer that is in the record. Times are not kept, nor why it was stopped."""
    assert turn.answer is not None, "turns of the model have a number"
    match turn.end:
        case "complete" | "length":
            return events.ChatDone(
                answer=turn.answer,
                text=turn.text,
                finish_reason="stop" if turn.end == "complete" else "length",
                usage=ChatUsage(
                    prompt_tokens=turn.prompt_tokens,
                    completion_tokens=turn.completion_tokens,
                    cached_tokens=turn.cached_tokens,
                ),
                times=_UNKNOWN_TIMES,
                model=turn.model,
            )
        case "cancelled":
            return events.ChatCancelled(turn.answer, turn.text, "session")
        case "failed":
            return events.ChatFailed(turn.answer, turn.text, ChatFailed("the answer failed; ask again"))
        case _:
            assert_never(turn.end)


def _kind_of(end: AnswerEnd) -> End:
    match end:
        case events.ChatDone(finish_reason=reason):
            return "complete" if reason == "stop" else "length"
        case events.ChatCancelled():
            return "cancelled"
        case events.ChatFailed():
            return "failed"
        case _:
            assert_never(end)
