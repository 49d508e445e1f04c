"""What was said and answered in one session, bounded in size, as an LLM worker is to be given it."""

from collections.abc import Sequence
from itertools import groupby

from bus.contract.chat_work import ChatMessage, Role

MAX_TURN_CHARS = 32_000
"""Of one turn, and of the instructions."""
_MAX_CHARS = 160_000
"""Of the whole conversation, in the session record and in a request: with 4 bytes a character still below
`chat_work.MAX_REQUEST_BYTES`. A worker cuts it further, by tokens, to what its model takes."""


class Conversation:
    """Turns of both sides, oldest first. The oldest are dropped when there is too much; the newest never is."""

    def __init__(self, messages: Sequence[ChatMessage] = (), *, max_chars: int = _MAX_CHARS) -> None:
        self._max_chars = max_chars
        self._messages = list(messages)
        self._bound()

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """Every turn as it was added."""
        return tuple(self._messages)

    @property
    def is_unanswered(self) -> bool:
        """Whether the newest turn is the user's."""
        return bool(self._messages) and self._messages[-1].role == "user"

    def add(self, role: Role, text: str) -> None:
        """Add a turn."""
        self._messages.append(ChatMessage(role, text))
        self._bound()

    def clear(self) -> None:
        """Forget everything."""
        self._messages.clear()

    def prompt(self, instructions: str) -> tuple[ChatMessage, ...]:
        """Messages of alternating roles: turns of one side that follow one another become one.

        The system's comes first, if there are instructions; the first after it is the user's.
        """
        runs = [
            ChatMessage(role, "\n".join(message.text for message in run))
            for role, run in groupby(self._messages, key=lambda message: message.role)
        ]
        if runs and runs[0].role == "assistant":
            del runs[0]  # what it answered is dropped already
        return (ChatMessage("system", instructions), *runs) if instructions else tuple(runs)

    def _bound(self) -> None:
        chars = sum(len(message.text) for message in self._messages)
        while chars > self._max_chars and len(self._messages) > 1:
            chars -= len(self._messages.pop(0).text)
