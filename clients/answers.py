"""Which answer of the service belongs to which turn of the client. Pure.

The protocol numbers answers but not turns, so they are matched by order: each turn that wants an answer, and each
`chat.request`, is a *wish*, and the next `chat.started` fulfils the oldest one. Two things may come in between. A
refusal takes the wish away. And an answer to something that was said, which began in the very moment in which the
turn was on its way: the turn stops it, so that it is cancelled for the sake of a turn although no later one was sent,
and the wish waits on.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, TypeAlias

from bus.contract.client_protocol import (
    ChatCancelled,
    ChatCommand,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ChatRequest,
    ChatSend,
    ChatStarted,
    ErrorEvent,
    ServerEvent,
)
from bus.contract.errors import HarkenError, Overloaded
from clients.failures import from_code

MAX_WISHES: Final = 64

AnswerEnd: TypeAlias = ChatDone | ChatCancelled | ChatFailed


class ExpectedAnswer:
    """What came of one answer. Its text that nobody took yet is joined, so that a slow reader costs no memory."""

    def __init__(self) -> None:
        self.number: int | None = None
        """As the service counts; None until it started."""
        self.text = ""
        """All of it so far."""
        self.end: AnswerEnd | None = None
        self.refusal: HarkenError | None = None
        """Why it never started."""
        self._taken_chars = 0

    def take(self) -> str:
        """Give the text that came since the last call; empty if there is none."""
        piece = self.text[self._taken_chars :]
        self._taken_chars = len(self.text)
        return piece


@dataclass(frozen=True, slots=True)
class _Wish:
    answer: ExpectedAnswer | None
    """None: nobody waits for this answer in particular, and its events go where all others go."""
    turns: int
    """Typed turns that were sent up to it."""


class AnswerDesk:
    """Hands the events of expected answers to those who wait for them. One owner.

    At most `MAX_WISHES` wait to be taken up by the service. Overflow rule: the oldest is refused.
    """

    def __init__(self) -> None:
        self._wishes: deque[_Wish] = deque()
        self._current: _Wish | None = None
        self._running: int | None = None
        self._turns = 0

    def expect(self, command: ChatCommand, answer: ExpectedAnswer | None = None) -> None:
        """Note a command, before it is sent; `answer` takes what it brings about."""
        match command:
            case ChatSend():
                self._turns += 1
                is_wish = command.answer
            case _:
                is_wish = isinstance(command, ChatRequest)
        if not is_wish:
            return
        if len(self._wishes) == MAX_WISHES:
            _refuse(self._wishes.popleft(), Overloaded("more turns wait than the service takes up"))
        self._wishes.append(_Wish(answer, self._turns))

    def on_event(self, event: ServerEvent) -> bool:
        """Take an event; True if somebody expects it, and it is for nobody else."""
        match event:
            case ChatStarted():
                return self._on_started(event)
            case ChatDelta():
                answer = self._expected(event.answer)
                if answer is not None:
                    answer.text += event.text
                return answer is not None
            case ChatDone() | ChatCancelled() | ChatFailed():
                return self._on_end(event)
            case ErrorEvent():
                self._on_error(event)
                return False
            case _:
                return False

    def _on_started(self, started: ChatStarted) -> bool:
        self._running = started.answer
        self._current = self._wishes.popleft() if self._wishes else None
        if self._current is None or self._current.answer is None:
            return False
        self._current.answer.number = started.answer
        return True

    def _on_end(self, end: AnswerEnd) -> bool:
        if end.answer == self._running:
            self._running = None
        answer = self._expected(end.answer)
        if self._current is None or answer is None:
            return False
        wish, self._current = self._current, None
        is_of_an_earlier_turn = isinstance(end, ChatCancelled) and end.reason == "turn" and wish.turns == self._turns
        if is_of_an_earlier_turn and not answer.text:
            answer.number = None
            self._wishes.appendleft(wish)
        else:
            answer.end = end
        return True

    def _on_error(self, event: ErrorEvent) -> None:
        error = from_code(event.code, event.message, retryable=event.retryable)
        # While an answer runs, what is wrong with the service is said of that one.
        if self._wishes and (self._running is None or error.fault == "client"):
            _refuse(self._wishes.popleft(), error)

    def _expected(self, number: int) -> ExpectedAnswer | None:
        answer = None if self._current is None else self._current.answer
        return answer if answer is not None and answer.number == number else None


def _refuse(wish: _Wish, error: HarkenError) -> None:
    if wish.answer is not None:
        wish.answer.refusal = error
