"""Turns of the user that began, in that order, until the text of each is known. Pure."""

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from bus.contract.chat_work import Role
from bus.contract.errors import InvalidMessage
from stream_gateway.chat.commands import AddTurn, TurnRef

_MAX_WAITING = 64
"""Typed turns that may wait for one utterance's text."""


@dataclass(slots=True)
class BegunTurn:
    """One of them; spoken ones get their text later."""

    text: str | None = field(repr=False)
    asks: bool
    """It wants an answer."""
    segment: int | None = None
    """Of a spoken one."""
    role: Role = "user"
    ref: TurnRef | None = None
    id: str | None = None
    """The client's own name for it."""


class BegunTurns:
    """A short queue; falsy while nobody speaks."""

    def __init__(self) -> None:
        self._turns: deque[BegunTurn] = deque()

    def __len__(self) -> int:
        return len(self._turns)

    def check_room(self) -> None:
        """Raise InvalidMessage if one more turn may not wait."""
        if len(self._turns) >= _MAX_WAITING:
            raise InvalidMessage(f"{_MAX_WAITING} turns wait for the text of what is being said")

    def type(self, turn: BegunTurn) -> None:
        """A turn that has its text; it comes after what is being said."""
        self._turns.append(turn)

    def insert(self, turn: AddTurn) -> bool:
        """Put a turn behind the one that it names, or at the end if it names none. False: that one does not wait."""
        began = BegunTurn(turn.text, asks=False, role=turn.role, ref=turn.ref)
        refs = [one.ref for one in self._turns]
        if turn.after is None:
            self._turns.append(began)
        elif turn.after in refs:
            self._turns.insert(refs.index(turn.after) + 1, began)
        else:
            return False
        return True

    def speak(self, segment: int, *, asks: bool) -> None:
        """A turn of speech begins, unless it has."""
        ref = TurnRef("segment", segment)
        if all(turn.ref != ref for turn in self._turns):
            self._turns.append(BegunTurn(None, asks=asks, segment=segment, ref=ref))

    def hear(self, segment: int, text: str) -> None:
        """The text of a segment is known; "" if there is none."""
        for turn in self._turns:
            if turn.segment == segment:
                turn.text = text

    def forget(self, refs: Collection[TurnRef]) -> None:
        """Take turns out."""
        self._turns = deque(turn for turn in self._turns if turn.ref not in refs)

    def take_typed(self) -> list[BegunTurn]:
        """Take all out that nobody spoke."""
        typed = [turn for turn in self._turns if turn.segment is None]
        self._turns = deque(turn for turn in self._turns if turn.segment is not None)
        return typed

    def take_known(self) -> Iterator[BegunTurn]:
        """Take out what comes before the first turn whose text is not known yet."""
        while self._turns and self._turns[0].text is not None:
            yield self._turns.popleft()
