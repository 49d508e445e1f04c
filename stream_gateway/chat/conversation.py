"""What was said and answered in one session, bounded in size, as an LLM worker is to be given it."""

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Literal

from bus.contract.chat_work import ChatMessage, Role
from stream_gateway.chat.commands import TurnRef

MAX_TURN_CHARS = 32_000
"""Of one turn, and of the instructions."""
_MAX_CHARS = 160_000
"""Of the whole conversation, in the session record and in a request: with 4 bytes a character still below
`chat_work.MAX_REQUEST_BYTES`. A worker cuts it further, by tokens, to what its model takes."""
_NUDGE = ChatMessage("user", "Go on.")
"""Models answer users: where none waits for the answer that was asked for, this is what they are told."""


class Conversation:
    """Turns of both sides, oldest first. The oldest are dropped when there is too much; the newest never is."""

    def __init__(self, messages: Sequence[ChatMessage] = (), *, max_chars: int = _MAX_CHARS) -> None:
        self._max_chars = max_chars
        self._messages = list(messages)
        self._refs: list[TurnRef | None] = [None] * len(self._messages)
        self._bound()

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """Every turn as it was added."""
        return tuple(self._messages)

    @property
    def is_unanswered(self) -> bool:
        """Whether the newest turn, those of the system aside, is the user's."""
        newest = next((one for one in reversed(self._messages) if one.role != "system"), None)
        return newest is not None and newest.role == "user"

    @property
    def newest(self) -> TurnRef | None:
        """The name of the newest turn, if it has one."""
        return self._refs[-1] if self._refs else None

    def add(
        self,
        role: Role,
        text: str,
        ref: TurnRef | None = None,
        *,
        after: TurnRef | Literal["start"] | None = None,
    ) -> None:
        """Add a turn after another one, or at the end."""
        place = len(self._messages)
        if after == "start":
            place = 0
        elif after is not None and after in self._refs:
            place = self._refs.index(after) + 1
        self._messages.insert(place, ChatMessage(role, text))
        self._refs.insert(place, ref)
        self._bound()

    def forget(self, refs: Collection[TurnRef]) -> None:
        """Take turns out."""
        kept = [index for index, ref in enumerate(self._refs) if ref not in refs]
        self._messages = [self._messages[index] for index in kept]
        self._refs = [self._refs[index] for index in kept]

    def clear(self) -> None:
        """Forget everything."""
        self._messages.clear()
        self._refs.clear()

    def prompt(self, instructions: str, *, must_answer: bool = False) -> tuple[ChatMessage, ...]:
        """Messages of alternating roles: turns of one side that follow one another become one.

        The system's comes first, if there are instructions or turns of the system; the first after it is the user's,
        and so is the last if the prompt `must_answer`.
        """
        spoken = [message for message in self._messages if message.role != "system"]
        runs = [
            ChatMessage(role, "\n".join(message.text for message in run))
            for role, run in groupby(spoken, key=lambda message: message.role)
        ]
        if runs and runs[0].role == "assistant":
            del runs[0]  # what it answered is dropped already
        if must_answer and (not runs or runs[-1].role != "user"):
            runs.append(_NUDGE)
        system = "\n".join(
            text for text in (instructions, *(one.text for one in self._messages if one.role == "system")) if text
        )
        return (ChatMessage("system", system), *runs) if system else tuple(runs)

    def _bound(self) -> None:
        chars, gone = sum(len(message.text) for message in self._messages), 0
        while chars > self._max_chars and gone < len(self._messages) - 1:
            chars -= len(self._messages[gone].text)
            gone += 1
        del self._messages[:gone], self._refs[:gone]
