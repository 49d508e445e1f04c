"""The pieces of one answer as they come."""

from collections.abc import Awaitable, Callable
from typing import Self

from bus.contract.client_protocol import ChatCancelled, ChatDone, ChatFailed
from clients.answers import AnswerEnd, ExpectedAnswer
from clients.failures import AnswerCancelled, from_code


class AnswerStream:
    """One answer, made by `LiveSession.answer`. Iterate it once: it asks, and gives the text piece by piece.

    The iteration ends where the answer is complete. It raises AnswerCancelled where it was stopped, NoWorker,
    UnknownModel, ChatFailed or what else the service says where it failed or never began, and the session's own error
    where that fails. What came before then is in `text`.
    """

    def __init__(
        self, answer: ExpectedAnswer, *, ask: Callable[[], Awaitable[None]], wait: Callable[[], Awaitable[None]]
    ) -> None:
        self._answer = answer
        self._ask = ask
        self._wait = wait
        self._is_asked = False

    @property
    def text(self) -> str:
        """All of the answer that came so far."""
        return self._answer.text

    @property
    def end(self) -> AnswerEnd | None:
        """How it ended: `ChatDone` has its usage and times, `ChatFailed` says whether to try again. None until then."""
        return self._answer.end

    def __aiter__(self) -> Self:
        """Give the answer itself: its pieces come once."""
        return self

    async def __anext__(self) -> str:
        """Wait for the next piece. Cancel-safe once the first call has asked."""
        if not self._is_asked:
            self._is_asked = True
            await self._ask()
        while not (piece := self._answer.take()):
            if self._answer.refusal is not None:
                raise self._answer.refusal
            match self._answer.end:
                case ChatDone():
                    raise StopAsyncIteration
                case ChatCancelled(reason=reason):
                    raise AnswerCancelled(f"the answer was stopped [{reason}]")
                case ChatFailed(code=code, message=message, retryable=retryable):
                    raise from_code(code, message, retryable=retryable)
                case None:
                    await self._wait()
        return piece
