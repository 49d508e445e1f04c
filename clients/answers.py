"""Which answer of the service belongs to which turn of the client. Pure.

A turn that wants an answer, and a `chat.request`, is a *wish*. The service takes up all that it has when it begins an
answer, so `chat.started` fulfils the newest wish, and those before it have no answer of their own. It may name the
newest turn or request that it answers; one from before the wish does not fulfil it. Where it names none, they are
matched by order. A refusal takes a wish away, and so does what stops answers: an answer that was stopped before it
began is not mentioned by the service.

One case needs care: an answer that began while the turn was on its way, for the sake of something said or sent before.
The turn stops it. So if what stopped it is no later than the wish, it was not the answer to it, and the wish waits on.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from bus.contract.client_protocol import (
    ChatCancel,
    ChatCancelled,
    ChatCommand,
    ChatConfigure,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ChatRequest,
    ChatReset,
    ChatSend,
    ChatStarted,
    ChatTurnStored,
    ErrorEvent,
    ServerEvent,
)
from bus.contract.errors import HarkenError, NothingToAnswer
from clients.failures import AnswerCancelled, from_code

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
    names: frozenset[str | None]
    """Its own, and those of the turns sent behind it: what answers one of them answers it too."""
    stops: int
    """Commands that stop answers which were sent up to it, itself included."""


class AnswerDesk:
    """Hands the events of an expected answer to whoever waits for it. One owner."""

    def __init__(self) -> None:
        self._wish: _Wish | None = None
        """The newest that no answer was begun for."""
        self._current: _Wish | None = None
        self._running: int | None = None
        self._stops = 0
        self._unstored: set[str | None] = set()
        """Turns that somebody waits for the answer to, until the service has told that they are stored."""

    def expect(self, command: ChatCommand, answer: ExpectedAnswer | None = None) -> None:
        """Note a command, before it is sent; `answer` takes what it brings about.

        Raises NothingToAnswer where somebody would wait for an answer that is running already.
        """
        match command:
            case ChatSend():
                self._stops += 1
                if answer is not None and command.id is not None:
                    self._unstored.add(command.id)
                if not command.answer and self._wish is not None:
                    self._wish = replace(self._wish, names=self._wish.names | {command.id})
                elif command.answer:
                    self._replace(_Wish(answer, frozenset({command.id}), self._stops))
            case ChatRequest():
                if answer is not None and self._running is not None:
                    raise NothingToAnswer("an answer is running already")
                self._replace(_Wish(answer, frozenset({command.id}), self._stops))
            case ChatCancel() | ChatReset():
                self._stops += 1
                self._replace(None)
            case ChatConfigure():
                pass
            case _:
                assert_never(command)

    def on_event(self, event: ServerEvent) -> bool:
        """Take an event; True if somebody expects it, and it is for nobody else."""
        match event:
            case ChatStarted():
                return self._on_started(event)
            case ChatTurnStored(id=name) if name in self._unstored:
                self._unstored.discard(name)
                return True
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

    def _replace(self, wish: _Wish | None) -> None:
        _refuse(self._wish, AnswerCancelled("the answer was stopped before it began"))
        self._wish = wish

    def _on_started(self, started: ChatStarted) -> bool:
        self._running = started.answer
        if self._wish is not None and started.id not in self._wish.names | {None}:
            self._current = None  # it is for a turn before, and the service stops it for the one that waits
            return False
        self._current, self._wish = self._wish, None
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
        if self._was_stopped_earlier(wish, end) and self._wish is None and not answer.text:
            answer.number = None
            self._wish = wish
        else:
            answer.end = end
        return True

    def _was_stopped_earlier(self, wish: _Wish, end: AnswerEnd) -> bool:
        return isinstance(end, ChatCancelled) and end.reason != "speech" and wish.stops == self._stops

    def _on_error(self, event: ErrorEvent) -> None:
        error = from_code(event.code, event.message, retryable=event.retryable)
        if error.fault == "client":  # what is wrong with the service is said of the session, and answers go on
            _refuse(self._wish, error)
            self._unstored -= self._wish.names if self._wish is not None else set()
            self._wish = None

    def _expected(self, number: int) -> ExpectedAnswer | None:
        answer = None if self._current is None else self._current.answer
        return answer if answer is not None and answer.number == number else None


def _refuse(wish: _Wish | None, error: HarkenError) -> None:
    if wish is not None and wish.answer is not None:
        wish.answer.refusal = error
